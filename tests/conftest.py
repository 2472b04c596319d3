"""For all tests."""

import os

# Expected bits are those of a CPU, on a machine with a GPU too; `test_on_gpu.py` says otherwise.
os.environ.setdefault("ATOLL_DEVICE", "cpu")
