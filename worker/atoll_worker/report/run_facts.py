"""What was seen in this run only: who it was, and the bytes on its sockets."""

from collections.abc import Mapping

from atoll_api import names
from atoll_api.work_order import JobIdentity
from atoll_worker.ports import ProgressReport
from atoll_worker.report.document import RunFacts, StepWire


def run_facts(job: JobIdentity, reports: Mapping[str, ProgressReport], count: int) -> RunFacts:
    """Add up what the kernel counted on the sockets of each step while it trained."""
    wires = tuple(
        StepWire(
            step=step,
            peer=wire.peer,
            sent_bytes=wire.sent_bytes,
            received_bytes=wire.received_bytes,
        )
        for step, report in sorted(reports.items())
        for wire in report.training_wire
    )
    return RunFacts(
        job=job.name, uid=job.uid, wires=wires, bytes_between_islands=_between(wires, count)
    )


def _between(wires: tuple[StepWire, ...], count: int) -> int | None:
    """Bytes between islands and anyone but the hub; None unless every island was counted.

    What one island sends to another is counted at both ends, and at neither when it closes its
    socket between two looks: so the larger sum of the two stands. A lost island was not counted at
    its end, so neither is the job.
    """
    islands = {names.island_step(island) for island in range(count)}
    if islands - {wire.step for wire in wires}:
        return None
    own = [wire for wire in wires if wire.step in islands and wire.peer != "hub"]
    return max(sum(wire.sent_bytes for wire in own), sum(wire.received_bytes for wire in own))
