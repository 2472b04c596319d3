"""`python -m atoll_worker ORDER.json [--debug]`: be one role until its step is done.

Ends with an exit code of `atoll_api.exit_codes`; an error is one line on standard error,
`atoll: STEP: what is wrong and what to do`. Imports nothing that the role does not need.
"""

import argparse
import errno
import os
import sys
import traceback
from importlib import import_module
from pathlib import Path

from atoll_api import work_order
from atoll_api.exit_codes import ExitCode
from atoll_api.work_order import HubOrder, WorkOrder, WorkOrderError
from atoll_worker import process
from atoll_worker.errors import FinalError, NoSpaceError, WorkerError


def main() -> int:
    """Parse the order, run the role, and say in one line what went wrong."""
    parser = argparse.ArgumentParser(prog="atoll_worker", description=__doc__)
    parser.add_argument("order", type=Path, help="the work order, a JSON file")
    parser.add_argument("--debug", action="store_true", help="print tracebacks")
    options = parser.parse_args()
    step = "worker"
    process.hold_lifeline()
    if not options.debug:
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # gRPC's own lines are for developers
    try:
        order = _read(options.order)
        step = order.step
        _run(order)
    except Exception as error:  # noqa: BLE001 - a user gets a line, not a traceback
        failure = _explain(error)
        if options.debug:
            traceback.print_exc()
        sys.stderr.write(f"atoll: {step}: {' '.join(str(failure).split())}\n")
        return failure.exit_code
    return ExitCode.OK


def _read(path: Path) -> WorkOrder:
    try:
        return work_order.parse(path.read_bytes())
    except WorkOrderError as error:
        raise FinalError(str(error)) from error
    except OSError as error:
        raise FinalError(f"the work order {path} cannot be read: {error.strerror}") from error


def _run(order: WorkOrder) -> None:
    # By name: the hub must not load torch, nor an island the evaluation's libraries.
    if isinstance(order, HubOrder):
        import_module("atoll_worker.roles.hub").run(order)
        return
    stop = process.StopFlag()  # before torch is loaded, which can take seconds
    role = import_module(f"atoll_worker.roles.{order.role}")
    with import_module("atoll_worker.context").open_context(order, stop) as context:
        role.run(order, context)


def _explain(error: Exception) -> WorkerError:
    match error:
        case WorkerError():
            return error
        case MemoryError():
            return WorkerError("out of memory: use a smaller batch or model, or a larger machine")
        case OSError(errno=errno.ENOSPC | errno.EDQUOT | errno.EROFS):
            where = f" {error.filename}" if error.filename else ""
            return NoSpaceError(f"cannot write{where} ({error.strerror}): free some space")
        case _:
            return WorkerError(f"{type(error).__name__}: {error} (--debug shows where)")


if __name__ == "__main__":
    sys.exit(main())
