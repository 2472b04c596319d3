"""Known bugs, planted one at a time: the harness that finds none of them would find nothing.

The one place where tests put something else into the product's functions: that is what a bug is.
"""

from pathlib import Path
from typing import Any

import pytest
from invariants import found
from plans import HUB, OPERATOR, Fault, FaultPlan, Moment
from sim_disk import FaultyDisk
from simulated import Story, simulate

from atoll_api.exit_codes import ExitCode
from atoll_operator import reconcile
from atoll_operator.local.child import ChildProcess
from atoll_operator.plan.model import ChildState, Plan
from atoll_worker.exchange.store import Store
from atoll_worker.train import merging

pytestmark = pytest.mark.timeout(600)

FROZEN = FaultPlan(
    1, "deadline", (Fault("freeze", "island-1", Moment("island-1", "step", 20), 25.0),)
)
"""An island is late for a round: its neighbours excuse it, and it comes back."""
STOPPED = FaultPlan(2, "ring", (Fault("interrupt", OPERATOR, Moment("island-1", "step", 12)),))
"""The user stops the run while islands train, and starts it again."""
POWER = tuple(
    FaultPlan(seed, "gossip", (Fault("power", HUB, Moment("island-0", "Bind", 2), 0.0, seed),))
    for seed in range(6)
)
"""The hub's machine loses its power somewhere near a bind."""


class NeverSynced(FaultyDisk):
    """As if the store forgot to sync one kind of thing."""

    def __init__(self, forgotten: str) -> None:
        super().__init__()
        self._forgotten = forgotten

    def sync(self, descriptor: int) -> None:
        """Of a file's content."""
        if self._forgotten != "content":
            super().sync(descriptor)

    def sync_folder(self, folder: Path) -> None:
        """Of names."""
        if self._forgotten != folder.name:
            super().sync_folder(folder)


def calm_run(folder: Path, strategy: str) -> Story:
    """Before anything is planted."""
    return simulate(FaultPlan(0, strategy), folder / "calm")


@pytest.mark.parametrize("forgotten", ["content", "refs", "packs"])
def test_a_lost_fsync(forgotten: str, tmp_path: Path) -> None:
    calm = calm_run(tmp_path, "gossip")
    said = (
        line
        for plan in POWER
        for line in found(plan, tmp_path / f"run-{plan.seed}", calm, NeverSynced(forgotten))
    )
    assert any("was confirmed as" in line or "failed for no reason" in line for line in said)


def test_a_double_bind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calm, hold = calm_run(tmp_path, "deadline"), Store.hold
    assert not found(FROZEN, tmp_path / "sound", calm)

    def bind_anyway(store: Store, ref: str, content: bytes) -> Any:
        store.drop([ref])
        return hold(store, ref, content)

    monkeypatch.setattr(Store, "hold", bind_anyway)
    assert any("was bound to" in line for line in found(FROZEN, tmp_path / "run", calm))


def test_a_wrong_weight_for_a_missing_peer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calm = calm_run(tmp_path, "deadline")

    def scaled_up(weights: Any, _island: int, absent: Any) -> dict[int, float]:
        kept = {other: share for other, share in weights.items() if other not in absent}
        return {other: share / sum(kept.values()) for other, share in kept.items()}

    monkeypatch.setattr(merging, "to_self", scaled_up)
    assert any(
        "without" in line and "not {" in line for line in found(FROZEN, tmp_path / "run", calm)
    )


def test_a_leaked_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calm = calm_run(tmp_path, "ring")
    assert not found(STOPPED, tmp_path / "sound", calm)

    async def forget(child: ChildProcess) -> int:
        child._recipe.prepare()
        process = await child._spawn()
        child._child = type(child._child)(ChildState.RUNNING)
        if child._recipe.name == HUB:
            await child._recipe.attend(process)
        if await child._unless_stopped(process.wait()):
            return child._ended_with(process.returncode or 0, "")
        return child._ended_with(ExitCode.DISRUPTED, "")

    monkeypatch.setattr(ChildProcess, "_attempt", forget)
    assert any("still alive" in line for line in found(STOPPED, tmp_path / "run", calm))


def test_a_status_written_on_every_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calm, once = calm_run(tmp_path, "ring"), reconcile.reconcile_once

    async def always(job: Any, runtime: Any) -> Plan:
        decided = await once(job, runtime)
        status = await runtime.read_status()
        if status is not None:
            await runtime.write_status(status)
        return decided

    monkeypatch.setattr(reconcile, "reconcile_once", always)
    said = found(FaultPlan(0, "ring"), tmp_path / "run", calm)
    assert any("said nothing new" in line for line in said)
