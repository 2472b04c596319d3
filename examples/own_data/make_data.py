"""Write data for `job.yaml`: three islands with digits of their own, and a few that all may read.

    python examples/own_data/make_data.py

The islands have different classes and sizes, as teams do that cannot pool their data.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_digits

CLASSES_OF = ((0, 1, 2, 3, 4, 5), (4, 5, 6, 7, 8), (0, 2, 7, 8, 9))
"""What each island has seen; no island has seen all ten."""
SHARED = 300


def main(folder: Path) -> None:
    """Write `island-0.npz` to `island-2.npz` and `shared.npz` into a folder."""
    digits = load_digits()
    order = np.random.default_rng(0).permutation(len(digits.target))
    x = (digits.images[order, None] * 15.9375).astype(np.uint8)
    y = digits.target[order]
    write(folder / "shared.npz", x[:SHARED], y[:SHARED])
    for island, classes in enumerate(CLASSES_OF):
        rows = SHARED + np.flatnonzero(np.isin(y[SHARED:], classes))
        mine = rows[island :: len(CLASSES_OF)]  # no sample is on two islands
        write(folder / f"island-{island}.npz", x[mine], y[mine])


def write(path: Path, x: Any, y: Any) -> None:
    """Write samples (N, 1, 8, 8) and their labels (N,)."""
    np.savez_compressed(path, x=x, y=y)
    print(f"{path}: {len(y)} samples of the classes {', '.join(map(str, np.unique(y)))}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else Path(__file__).parent)
