"""The operator as a process whose health port is on loopback alone: all else is as on a cluster."""

import sys
from functools import partial

from atoll_operator import __main__ as operator
from atoll_operator.kubernetes import health

if __name__ == "__main__":
    vars(health)["serve"] = partial(health.serve, host="127.0.0.1")  # a test opens no door
    sys.exit(operator.main())
