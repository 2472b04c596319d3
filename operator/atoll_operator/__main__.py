"""`python -m atoll_operator`: the operator of a cluster, set up by its environment."""

import asyncio
import logging
import os
import sys

from atoll_api.exit_codes import ExitCode
from atoll_operator.errors import OperatorError
from atoll_operator.kubernetes.process import serve
from atoll_operator.kubernetes.settings import read


def main() -> int:
    """Run until told to stop; an error is one line."""
    logging.basicConfig(
        level=os.environ.get("ATOLL_LOG_LEVEL", "INFO").upper(),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    logging.getLogger("kopf").setLevel(logging.WARNING)
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # its lines are for developers
    try:
        asyncio.run(serve(read(os.environ)))
    except OperatorError as error:
        sys.stderr.write(f"atoll-operator: {error}\n")
        return error.exit_code
    return ExitCode.OK


if __name__ == "__main__":
    sys.exit(main())
