"""One machine in a simulation: processes, their network, the operator, and a plan of what befalls them."""

import asyncio
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from ledger import Ledger
from plans import HUB, OPERATOR, Fault, FaultPlan, Moment
from sim_calls import Call, Caller, CallError, Network, Served
from sim_disk import FaultyDisk
from sim_hub import ADDRESS, run_hub
from sim_process import SimProcess, name_of, run_role
from sim_time import FOREVER, KilledError, SimLoop
from virtual_time import VirtualLoop

from atoll.exchange.v1 import exchange_pb2 as pb
from atoll.progress.v1 import progress_pb2 as progress_pb
from atoll_api import hub_order, names, work_order
from atoll_api.names import Process, Ref, StepName
from atoll_operator.errors import HubUnavailableError
from atoll_operator.identity import Identity
from atoll_operator.local.processes import Spawned, Wish
from atoll_operator.plan.model import Binding, Outcome, StepProgress

T = TypeVar("T")

EPOCH = 1_700_000_000.0
OF_PROCESSES = ("kill", "evict", "freeze")
"""Kinds of faults that need somebody who is alive."""
NOBODY = ": nobody was there"


@dataclass
class Machine:
    """What a run of `atoll_operator.local.run` finds in place of the operating system."""

    loop: SimLoop
    plan: FaultPlan
    disk: FaultyDisk = field(default_factory=FaultyDisk)
    calendar: Counter[tuple[str, str]] = field(default_factory=Counter)
    errors: list[tuple[str, Exception]] = field(default_factory=list)
    struck: list[str] = field(default_factory=list)
    """What happened, and when."""
    mishap_seconds: float = 0.0
    crash_seconds: float | None = None
    """Set while the operator is dead: after how long it is started again."""
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    news: int = 0
    """How often the hub has had something to tell."""
    outlived: list[str] = field(default_factory=list)
    """Processes that were still there when a run of the operator had ended."""
    run: "asyncio.Task[Outcome] | None" = None

    def __post_init__(self) -> None:
        self.turns = self.loop.turns
        self.inner = VirtualLoop()
        self.network = Network(self.loop.time)
        self.ledger = Ledger(self.loop.time)
        self._processes: dict[str, SimProcess] = {}
        self._started_ever: list[SimProcess] = []
        self._pids = 20_000
        self._clock_offset = 0.0
        self._full_until = 0.0
        self._damage: Fault | None = None
        self._doomed: dict[str, int] = {}
        self._power_seed = 0
        self._points: Counter[str] = Counter()
        self.struck_at: list[float] = []
        self.disk.full = lambda: self.loop.time() < self._full_until

    def close(self) -> None:
        """Leave nothing behind."""
        self.inner.close()

    @property
    def alive(self) -> tuple[str, ...]:
        """Processes that have not ended."""
        return tuple(it.step for it in self._started_ever if it.alive)

    # In place of the operating system.

    def now(self) -> float:
        """Seconds since the epoch, as the operator's clock has them."""
        return EPOCH + self.loop.time() + self._clock_offset

    async def start(self, wish: Wish) -> Spawned:
        """Start a worker by its order."""
        if self.crash_seconds is not None:
            raise OSError(0, "the operator is dead")
        content = Path(wish.arguments[0]).read_bytes()  # noqa: ASYNC240 - no time passes
        self._pids += 1
        ended: asyncio.Future[int] = self.loop.create_future()
        if hub_order.read(content).get("role") == names.HUB:
            return self._started(HUB, wish, ended, partial(run_hub, hub_order.parse(content)))
        order = work_order.parse(content)
        assert not isinstance(order, hub_order.HubOrder)
        process = self._started(order.step, wish, ended, partial(run_role, order))
        process.process = name_of(order)
        return process

    def _started(self, step: str, wish: Wish, ended: Any, main: Any) -> SimProcess:
        process = SimProcess(self, self._pids, step, os.dup(wish.log), ended, main)
        self._processes[step] = process
        self._started_ever.append(process)
        process.start()
        return process

    def serve(self, process: SimProcess, address: str, served: Served) -> None:
        """A process answers at an address from now on."""
        served.is_up = lambda: process.alive
        served.is_frozen = lambda: process.frozen
        self.network.servers[address] = served

    def hub_seen_by(self, step: str) -> int:
        """The number of the hub's process; 0 while this step cannot reach it."""
        hub, served = self._processes.get(HUB), self.network.servers.get(ADDRESS)
        if hub is None or served is None or not served.is_up() or self.network.is_cut(step, HUB):
            return 0
        return hub.pid

    def gone(self, process: SimProcess) -> None:
        """A process has ended."""
        if process.step == HUB:
            self.disk.killed()
            if self._damage is not None:
                fault, self._damage = self._damage, None
                where = self.disk.damage(fault.detail, truncate=fault.kind == "truncate")
                self.ledger.damaged.append(where)

    def later(self, seconds: float, served: Served, call: Call[T]) -> None:
        """A message arrives once more, or late: whoever sent it may be gone."""

        def arrive() -> None:
            self.turns.current.wait(lambda: not served.is_frozen() or not served.is_up(), FOREVER)
            if served.is_up():
                try:
                    served.do(call)
                except CallError:
                    return

        self.turns.start("a late message", arrive, seconds)

    # What befalls it.

    def reach(self, step: str, point: str) -> str:
        """A process comes by a point; what happens to the very call that it is about to make."""
        self.calendar[step, point] += 1
        self._reach_doom(step)
        moment = Moment(step, point, self.calendar[step, point])
        mishap = ""
        for fault in self.plan.faults:
            if fault.at == moment:
                mishap = self._strike(fault) or mishap
        if step != OPERATOR and self.turns.current.killed:
            raise KilledError(step)
        return mishap

    def _reach_doom(self, step: str) -> None:
        """Whoever is doomed dies a few points after each start."""
        if step in self._doomed:
            self._points[step] += 1
            if self._points[step] % self._doomed[step] == 0:
                self._processes[step].kill()

    def lose_power(self, hub: SimProcess) -> None:
        """The hub's machine is off, and on again."""
        self.struck.append(f"{self.loop.time():.2f} power")
        hub.kill()
        self.disk.after_power_cut(self._power_seed)

    def _strike(self, fault: Fault) -> str:
        until = self.loop.time() + fault.seconds
        target = self._processes.get(fault.target)
        there = fault.kind not in OF_PROCESSES or (target is not None and target.alive)
        self.struck.append(f"{self.loop.time():.2f} {fault}{'' if there else NOBODY}")
        self.struck_at.append(self.loop.time())
        match fault.kind:
            case "lose" | "repeat" | "late":
                self.mishap_seconds = fault.seconds
                return fault.kind
            case "cut":
                self.network.cut_until[fault.target] = until
            case "slow":
                self.network.slow_until[fault.target] = until
            case "full":
                self._full_until = until
            case "power":
                self._power_seed = fault.detail
                self.disk.cut_soon(1 + fault.detail % 12)
            case "flip" | "truncate":
                self._damage = fault
                if target is not None:
                    target.kill()
            case "clock":
                self._clock_offset += fault.seconds
            case "crash":
                self._crash(fault.seconds)
            case "interrupt":
                self.stop.set()
            case "doom":
                self._doomed[fault.target] = 20 + fault.detail % 20
            case _ if target is not None and target.alive:
                self._strike_process(fault, target)
        return ""

    def _strike_process(self, fault: Fault, target: SimProcess) -> None:
        match fault.kind:
            case "kill":
                target.kill()
            case "evict":
                target.terminate()
            case "freeze":
                target.freeze(fault.seconds)

    def _crash(self, seconds: float) -> None:
        """SIGKILL of the operator: its children end too, for nobody holds their lifelines."""
        assert self.run is not None
        if self.crash_seconds is None:
            self.crash_seconds = seconds
            for process in list(self._processes.values()):
                process.kill()
            self.run.cancel()


class SimHubClient:
    """Implements `hearing.HubClient`: the operator's calls, over the network with faults."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    async def snapshot(
        self, address: str, identity: Identity
    ) -> tuple[Mapping[StepName, StepProgress], Mapping[Ref, Binding]]:
        """See `HubClient.snapshot`."""
        request = progress_pb.GetSnapshotRequest()

        def call(served: Served) -> Any:
            assert served.progress is not None
            return served.progress.GetSnapshot(request, self._caller(identity))

        answer = await self._ask(address, "GetSnapshot", call)
        steps = {
            StepName(it.step_name): StepProgress(it.done_count, it.total_count, message=it.message)
            for it in answer.steps
        }
        bound = {
            Ref(it.ref): Binding(it.manifest_digest, it.size_bytes, tuple(it.parent_digests))
            for it in answer.bindings
        }
        return steps, bound

    async def drop(self, address: str, identity: Identity, refs: Sequence[Ref]) -> None:
        """See `HubClient.drop`."""
        request = pb.DropRequest(refs=refs)
        await self._ask(
            address, "Drop", lambda it: it.exchange.Drop(request, self._caller(identity))
        )

    async def excuse(self, address: str, identity: Identity, refs: Sequence[Ref]) -> None:
        """See `HubClient.excuse`."""
        for ref in refs:
            request = pb.ExcuseRequest(ref=ref)
            await self._ask(
                address,
                "Excuse",
                lambda it, r=request: it.exchange.Excuse(r, self._caller(identity)),
            )

    def _caller(self, identity: Identity) -> Any:
        process: Process = identity.process
        return Caller(process)

    async def _ask(self, address: str, point: str, call: Any) -> Any:
        machine = self._machine
        mishap = machine.reach(OPERATOR, point)
        await asyncio.sleep(machine.network.delay_seconds(OPERATOR, HUB))
        try:
            served = machine.network.server(ADDRESS if address else address, OPERATOR)
            if served.is_frozen():
                machine.later(0.0, served, call)
                await asyncio.sleep(2.0)
                raise HubUnavailableError("no answer in time")
            answer = served.do(call)
        except CallError as error:
            raise HubUnavailableError(str(error)) from error
        if mishap in ("repeat", "late"):
            machine.later(machine.mishap_seconds, served, call)
        if mishap == "lose" or machine.network.is_cut(OPERATOR, HUB):
            raise HubUnavailableError("the answer is lost")
        return answer
