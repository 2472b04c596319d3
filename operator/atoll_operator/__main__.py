"""`python -m atoll_operator`: the operator of a cluster, set up by its environment."""

import asyncio
import os
import sys

from atoll_api.exit_codes import ExitCode
from atoll_operator.errors import OperatorError
from atoll_operator.kubernetes.process import serve
from atoll_operator.kubernetes.settings import read
from atoll_telemetry import logs, tracing


def main() -> int:
    """Run until told to stop; an error is one line."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # its lines are for developers
    try:
        settings = read(os.environ)
        logs.set_up(logs.read(os.environ))
        tracing.set_up("atoll-operator")
        asyncio.run(serve(settings))
    except OperatorError as error:
        tracing.shut_down()
        sys.stderr.write(f"atoll-operator: {error}\n")
        return error.exit_code
    finally:
        tracing.shut_down()
    return ExitCode.OK


if __name__ == "__main__":
    sys.exit(main())
