"""Who trains on what is frozen: the same hash on every run, thread count and release."""

import os
import subprocess
import sys

import pytest

DIGITS_IN_FOUR = "blake3:a299a420c770834ee7a4f61c0f57fec76213adcc1f10bb0261977011fec148e5"

PROGRAM = """
from atoll_api.spec.data import Data
from atoll_api.spec.partition import Partition
from atoll_worker.data.load import load
from atoll_worker.data.partition import divide
dataset = load(Data(source="builtin://digits"))
print(divide(dataset, Partition(type="FeatureClusters"), 4, 0).digest)
"""


@pytest.mark.slow
@pytest.mark.parametrize("threads", ["1", "2"])
def test_digits_in_four_parts(threads: str) -> None:
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    environment = {**os.environ, **dict.fromkeys(names, threads)}
    found = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == DIGITS_IN_FOUR
