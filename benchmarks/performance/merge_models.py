"""Models to merge: bfloat16 normal numbers in the shapes of a small language model, on the disk."""

from pathlib import Path

import numpy as np

from atoll_worker.model_files import floats, header
from atoll_worker.model_files.header import Form
from atoll_worker.model_files.reading import Reader
from atoll_worker.model_files.source import opened

_PIECE = 4 * 2**20


def forms(layers: int, width: int, vocabulary: int) -> dict[str, Form]:
    """Names and shapes as a Llama has them; 28, 1024 and 151,936: 0.67 B parameters."""
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (vocabulary, width)}
    for i in range(layers):
        of = f"model.layers.{i}"
        shapes |= {f"{of}.{it}_layernorm.weight": (width,) for it in ("input", "post_attention")}
        shapes |= {f"{of}.self_attn.{it}_proj.weight": (2 * width, width) for it in ("q", "o")}
        shapes |= {f"{of}.self_attn.{it}_proj.weight": (width, width) for it in ("k", "v")}
        shapes |= {
            f"{of}.mlp.{it}_proj.weight": (3 * width, width) for it in ("gate", "up", "down")
        }
    shapes["lm_head.weight"] = (vocabulary // 2, width)
    return {name: Form("BF16", shape) for name, shape in shapes.items()}


def write(path: Path, wanted: dict[str, Form], seed: int) -> None:
    """A model of these forms."""
    generator = np.random.default_rng(seed)
    text, _ = header.make(wanted, {"format": "pt"})
    rest = sum(form.count for form in wanted.values())
    with path.open("wb") as file:
        file.write(text)
        while rest:
            drawn = generator.standard_normal(min(rest, _PIECE), np.float32)
            file.write(floats.raw(drawn * np.float32(0.02), "BF16").data)
            rest -= len(drawn)


def difference(ours: Path, theirs: Path) -> float:
    """The root mean square of the difference of two models, as a share of that of the second."""
    squares = np.zeros(2)
    with opened(ours) as a, opened(theirs) as b:
        for name, stored in a.tensors.items():
            for x_N, y_N in Reader([stored, b.tensors[name]], np.float32).pieces():
                squares += [np.square(x_N - y_N).sum(), np.square(y_N).sum()]
    return float(np.sqrt(squares[0] / squares[1]))
