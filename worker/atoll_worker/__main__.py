"""`python -m atoll_worker ORDER.json [--debug]`: be one role until its step is done.

On a cluster `python -m atoll_worker --job JOB.json --step STEP` computes the order from the job, and
`--metrics-port` answers probes and Prometheus; `--metrics-file` does so on loopback, and says there
at which port.

Ends with an exit code of `atoll_api.exit_codes`; an error is one line on standard error,
`atoll: STEP: what is wrong and what to do`: the last, and plain text whatever the format of the log,
for Kubernetes and the local runtime read it. Imports nothing that the role does not need.
"""

import argparse
import gc
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from atoll_api import hub_order, names
from atoll_api.exit_codes import ExitCode
from atoll_api.hub_order import HubOrder, WorkOrderError
from atoll_worker import process, telling
from atoll_worker.errors import FinalError, explain
from atoll_worker.tally import Tally

if TYPE_CHECKING:  # not at run time: it loads the whole spec, of which a hub needs nothing
    from atoll_api.work_order import WorkOrder


_LINE_CHARACTERS = 2000
"""Of the last line: what was read out of a broken file may be of any length."""


def main() -> int:
    """Parse the order, run the role, and say in one line what went wrong."""
    parser = argparse.ArgumentParser(prog="atoll_worker", description=__doc__)
    parser.add_argument("order", type=Path, nargs="?", help="the work order, a JSON file")
    parser.add_argument("--job", type=Path, help="in place of an order: the job, a JSON file")
    parser.add_argument("--step", help="with --job: which step to do, as island-3")
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument("--metrics-port", type=int, help="answer GET /healthz and /metrics there")
    shown.add_argument("--metrics-file", type=Path, help="do so on loopback; FILE is told the port")
    parser.add_argument("--debug", action="store_true", help="print tracebacks")
    options = parser.parse_args()
    if (options.order is None) == (options.job is None) or bool(options.job) != bool(options.step):
        parser.error("give an order, or --job and --step")
    step = "worker"
    process.hold_lifeline()
    if not options.debug:
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # gRPC's own lines are for developers
    try:
        order = _read_job(options.job, options.step) if options.job else _read(options.order)
        step = order.step
        with telling.told(order):
            _run(order, _tally(options, order))
    except Exception as error:  # noqa: BLE001 - a user gets a line, not a traceback
        failure = explain(error)
        telling.failed(failure, error, debug=options.debug)
        line = " ".join(f"atoll: {step}: {failure}".split())
        sys.stderr.write(f"{line[:_LINE_CHARACTERS]}\n")
        return failure.exit_code
    return ExitCode.OK


def _read(path: Path) -> "WorkOrder":
    try:
        content = path.read_bytes()
        if hub_order.read(content).get("role") == names.HUB:
            return hub_order.parse(content)
        order: WorkOrder = import_module("atoll_api.work_order").parse(content)
    except WorkOrderError as error:
        raise FinalError(str(error)) from error
    except OSError as error:
        raise FinalError(f"the work order {path} cannot be read: {error.strerror}") from error
    return order


def _read_job(path: Path, step: str) -> "WorkOrder":
    resolved_job = import_module("atoll_api.resolved_job")
    try:
        resolved = resolved_job.parse(path.read_bytes())
    except WorkOrderError as error:
        raise FinalError(str(error)) from error
    except OSError as error:
        raise FinalError(f"the job {path} cannot be read: {error.strerror}") from error
    process = names.process_of_step(resolved.job.uid, step)
    roles = import_module("atoll_api.work_order").STEP_ROLES
    if process is None or process.role not in roles:
        raise FinalError(f"{step!r} is no step: say one as island-3")
    try:
        order: WorkOrder = resolved_job.order_of(resolved, process)
    except ValueError as error:  # as a router of islands that merge
        raise FinalError(f"{step!r} is no step of this job") from error
    return order


def _tally(options: argparse.Namespace, order: "WorkOrder") -> Tally:
    """Count, and show the numbers beside the health, where somebody is to look at them.

    A hub is ready once it serves; whoever trains is well while it lives.
    """
    if options.metrics_port is None and options.metrics_file is None:
        return Tally()
    ready_file = Path(order.ready_file) if isinstance(order, HubOrder) else None
    if ready_file is not None:
        ready_file.unlink(missing_ok=True)  # of a hub before this one
    ready = (lambda: True) if ready_file is None else ready_file.exists
    showing = import_module("atoll_worker.showing")
    place = showing.Place(options.metrics_port, options.metrics_file)
    tally: Tally = showing.shown(place, order, ready)
    return tally


def _run(order: "WorkOrder", tally: Tally) -> None:
    # By name: the hub must not load torch, nor an island the evaluation's libraries.
    if isinstance(order, HubOrder):
        import_module("atoll_worker.roles.hub").run(order, tally)
        return
    stop = process.StopFlag()  # before torch is loaded, which can take seconds
    role = import_module(f"atoll_worker.roles.{order.role}")
    context = import_module("atoll_worker.context")
    # What was imported stays: to look through torch's half a million objects again and again costs
    # more than to read the manifest of 10,000 tensors.
    gc.freeze()
    try:
        with context.open_context(order, stop, tally) as opened:
            role.run(order, opened)
    finally:
        gc.unfreeze()  # libraries complain on standard error of what is left at the end


if __name__ == "__main__":
    sys.exit(main())
