"""A simulated process of a worker: its strands, its signals, and the role that it runs."""

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

import grpc
from crashing_disk import PowerCutError
from sim_calls import (
    DEADLINE_SECONDS,
    REFUSED_SECONDS,
    Call,
    CallError,
    Served,
)
from sim_client import Around, Stub
from sim_time import FOREVER, Strand

from atoll_api import graphs, names
from atoll_api.names import Process
from atoll_api.work_order import EvaluateOrder, IslandOrder, MergeOrder, WorkerOrder, process_of
from atoll_worker.errors import DisruptedError, explain
from atoll_worker.evaluate.loading import load_job
from atoll_worker.exchange.access import Circle
from atoll_worker.exchange.connection import Patience
from atoll_worker.exchange.guard import Guard
from atoll_worker.ports import Artifact, Context

if TYPE_CHECKING:
    from sim_machine import Machine

T = TypeVar("T")

START_SECONDS = 1.0
STEP_SECONDS = 0.5


@dataclass
class SimProcess:
    """Implements `processes.Spawned`, and `sim_client.Here` for whoever runs in it."""

    machine: "Machine"
    pid: int
    step: str
    log: int
    ended: "asyncio.Future[int]"
    main: Callable[["SimProcess"], int]
    strands: list[Strand] = field(default_factory=list)
    told_to_stop: bool = False
    frozen: bool = False
    process: Process = field(init=False)

    def start(self) -> None:
        """Begin."""
        self.begin(self.step, self._main, START_SECONDS)

    def begin(self, name: str, work: Callable[[], None], delay_seconds: float = 0.0) -> Strand:
        """One more strand of this process."""
        strand = self.machine.turns.start(name, work, delay_seconds)
        self.strands.append(strand)
        return strand

    @property
    def returncode(self) -> int | None:
        """See `Spawned.returncode`."""
        return self.ended.result() if self.ended.done() else None

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        return not self.ended.done()

    async def wait(self) -> int:
        """See `Spawned.wait`."""
        return await asyncio.shield(self.ended)

    def terminate(self) -> None:
        """See `Spawned.terminate`."""
        self.told_to_stop = True

    def kill(self) -> None:
        """See `Spawned.kill`."""
        self.end(-9)

    def freeze(self, seconds: float) -> None:
        """SIGSTOP, and SIGCONT after so long."""
        self._set_frozen(True)
        self.machine.loop.call_later(seconds, self._set_frozen, False)

    def end(self, returncode: int) -> None:
        """It is gone from now on, whatever it was at."""
        if self.ended.done():
            return
        self.ended.set_result(returncode)
        os.close(self.log)
        for strand in self.strands:
            strand.kill()
        self.machine.gone(self)

    def say(self, line: str) -> None:
        """Write a line to its log."""
        if self.alive:
            os.write(self.log, f"{line}\n".encode())

    # What runs in it asks.

    def now(self) -> float:
        """Seconds."""
        return self.machine.loop.time()

    def pause(self, seconds: float) -> None:
        """Let time pass."""
        self.machine.turns.current.pause(seconds)

    def until(self, ready: Callable[[], bool], seconds: float) -> bool:
        """Until something is so, or for so long; whether it is."""
        return self.machine.turns.current.wait(ready, seconds)

    def stopping(self) -> bool:
        """Whether it was told to stop."""
        return self.told_to_stop

    def requested(self) -> bool:
        """See `ports.Stop.requested`: a training step, or a look while it waits."""
        self.machine.reach(self.step, "step")
        self.pause(STEP_SECONDS)
        return self.told_to_stop

    def call(self, address: str, point: str, call: Call[T]) -> T:
        """See `sim_client.Here.call`."""
        network = self.machine.network
        mishap = self.machine.reach(self.step, point)
        try:
            served = network.server(address, self.step)
        except CallError:
            self.pause(REFUSED_SECONDS)
            raise
        self.pause(network.delay_seconds(self.step, served.step))
        if served.is_frozen() and not self._until_thawed(served):
            self.machine.later(0.0, served, call)  # it stands in the socket of whoever is frozen
            raise CallError(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded")
        answer = network.server(address, self.step).do(call)
        self.machine.news += point == "Want"  # told to whoever holds it
        if mishap == "repeat":
            self.machine.later(0.0, served, call)
        elif mishap == "late":
            self.machine.later(self.machine.mishap_seconds, served, call)
        self.pause(network.delay_seconds(self.step, served.step))
        if mishap == "lose" or network.is_cut(self.step, served.step):
            raise CallError(grpc.StatusCode.UNAVAILABLE, "the answer is lost")
        return answer

    def news(self) -> int:
        """See `sim_client.Here.news`."""
        return self.machine.news

    def hub(self) -> int:
        """See `sim_client.Here.hub`."""
        return self.machine.hub_seen_by(self.step)

    def _until_thawed(self, served: Served) -> bool:
        return self.until(lambda: not served.is_frozen() or not served.is_up(), DEADLINE_SECONDS)

    def _main(self) -> None:
        code = 1
        try:
            code = self.main(self)
        except PowerCutError:
            self.machine.lose_power(self)
            return
        except Exception as error:  # noqa: BLE001 - as atoll_worker.__main__
            failure = explain(error)
            code = failure.exit_code
            self.say(f"atoll: {self.step}: {' '.join(str(failure).split())}")
            if not isinstance(error, DisruptedError):
                self.machine.errors.append((self.step, error))
        self.end(code)

    def _set_frozen(self, frozen: bool) -> None:  # noqa: FBT001 - as the loop calls it
        self.frozen = frozen
        for strand in self.strands:
            strand.frozen = frozen and not strand.killed


class SimErrands:
    """Implements `Errands` on a strand."""

    def __init__(self, here: SimProcess, name: str) -> None:
        self._here = here
        self._waiting: Callable[[], None] | None = None
        self._busy = False
        here.begin(f"{here.step} {name}", self._work)

    def give(self, errand: Callable[[], None]) -> None:
        """See `Errands.give`."""
        self._waiting = errand

    def finish(self) -> None:
        """See `Errands.finish`."""
        self._here.until(lambda: self._waiting is None and not self._busy, FOREVER)

    def close(self) -> None:
        """See `Errands.close`."""
        self._waiting = None

    def _work(self) -> None:
        while True:
            self._here.until(lambda: self._waiting is not None, FOREVER)
            errand, self._waiting, self._busy = self._waiting, None, True
            assert errand is not None
            errand()
            self._busy = False


def run_role(order: WorkerOrder, here: SimProcess) -> int:
    """Be one role until its step is done; its exit code."""
    patience = Patience(first_seconds=order.startup_seconds, stopping=here.stopping)
    stub = Stub(here, order.hub, patience)
    around = _around(order, here, stub)
    here.begin(f"{here.step} reports", stub.send_now_and_then)
    if around is not None:
        here.begin(f"{here.step} watches", around.listen)
    context = Context(
        artifacts=stub,
        progress=stub,
        stop=here,
        neighbourhood=around,
        onlooker=around,
        clock=here.now,
        errands=partial(SimErrands, here),
    )
    _role(order)(order, context)
    stub.flush()
    return 0


def _role(order: WorkerOrder) -> Callable[[Any, Context], None]:
    if isinstance(order, EvaluateOrder):
        return read_all
    found: Callable[[Any, Context], None] = import_module(f"atoll_worker.roles.{order.role}").run
    return found


def read_all(order: EvaluateOrder, context: Context) -> None:
    """In place of the evaluation: read every model, as it does, and bind what was read.

    To score them and to draw the page takes seconds of real time, and changes nothing here.
    """
    if names.REPORT_REF in context.artifacts.bindings(names.REPORT_REF):
        return
    job = load_job(order, context.artifacts)
    read = {str(ref): digest for ref, digest in job.digests.items()}
    context.artifacts.publish(names.REPORT_REF, Artifact({}, {"read": dict(read)}))


def _around(order: WorkerOrder, here: SimProcess, stub: Stub) -> Around | None:
    if isinstance(order, MergeOrder):
        return Around(here, stub, "")
    if not isinstance(order, IslandOrder) or order.merging is None:
        return None
    merging, address = order.merging, f"127.0.0.1:{here.pid}"
    around = Around(here, stub, address)
    neighbours = graphs.neighbours_of(merging.settings, merging.count)
    guard = Guard(order.job.uid, Circle.of(neighbours, common_basis=merging.common_basis))
    here.machine.serve(here, address, Served(here.step, around.shelf, guard, here.machine.inner))
    return around


def name_of(order: WorkerOrder) -> Process:
    """Who the process of an order is."""
    return process_of(order)
