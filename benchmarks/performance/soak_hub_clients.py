"""The islands of a soak: each job of them connects, publishes, reads, and goes.

One process for all, which reads commands from standard input, one JSON list a line, and answers each
by one JSON object. It must not be counted as the hub: it is looked at beside it.
"""

import asyncio
import json
import os
import sys
from contextlib import ExitStack
from typing import Any, Final

import torch
from commands import Answer, obey
from papers import JOB, Paper, credentials

from atoll_api import names
from atoll_api.names import Ref, StepName
from atoll_operator import progress
from atoll_operator.errors import OperatorError
from atoll_operator.identity import Identity
from atoll_worker.errors import WorkerError
from atoll_worker.exchange.access import Circle
from atoll_worker.exchange.client import ExchangeClient
from atoll_worker.exchange.guard import Guard
from atoll_worker.exchange.identity import Credentials
from atoll_worker.exchange.offering import Offering
from atoll_worker.exchange.onlooking import Onlooking
from atoll_worker.ports import Artifact, ProgressReport

ISLANDS: Final = 3
NEIGHBOURS: Final = tuple(tuple(j for j in range(ISLANDS) if j != i) for i in range(ISLANDS))
TENSORS: Final = 8
NUMBERS: Final = 16 * 1024
"""In each tensor: an artifact is half a MiB."""
PATIENCE_SECONDS: Final = 60.0


class Islands:
    """What the commands do."""

    def __init__(self, papers: list[Paper]) -> None:
        found = {(it["role"], it["index"]): it for it in papers}
        self._islands = [credentials(found[names.ISLAND, i]) for i in range(ISLANDS)]
        self._evaluate = credentials(found["evaluate", 0])
        self._merge = credentials(found["merge", 0])
        self._operator = _identity(credentials(found[names.OPERATOR, 0]))

    def job(self, address: str, number: int) -> Answer:
        """One job, to its end: nothing of it is bound afterwards."""
        try:
            return {"bound": self._job(address, number), "error": ""}
        except (WorkerError, OperatorError, AssertionError) as error:
            return {"bound": -1, "error": f"{type(error).__name__}: {error}"}

    def _job(self, address: str, number: int) -> int:
        with ExitStack() as stack:
            clients = [stack.enter_context(ExchangeClient(address, it)) for it in self._islands]
            for index, client in enumerate(clients):
                _train(client, index, number)
            self._exchange(clients, number)
            self._finish(address, clients, number)
        return asyncio.run(self._clear(address))

    def _exchange(self, clients: list[ExchangeClient], number: int) -> None:
        """Islands read from each other, and say of one snapshot that it came too late."""
        with ExitStack() as stack:
            offerings = [
                stack.enter_context(Offering(client, it, _guard(), prefixes=("islands/",)))
                for client, it in zip(clients, self._islands, strict=True)
            ]
            refs = [names.snapshot_ref(index, number) for index in range(ISLANDS)]
            for index, offering in enumerate(offerings):
                offering.offer(refs[index], _artifact(index, number, "snapshot"))
            for index, offering in enumerate(offerings):
                others = [refs[it] for it in NEIGHBOURS[index]]
                heard = offering.wait(others, PATIENCE_SECONDS)
                assert len(heard) == len(others), f"{heard} of {others}"
                for ref in others:
                    offering.fetch(ref, PATIENCE_SECONDS)
            offerings[0].excuse(names.snapshot_ref(1, number + 1))
            for index, offering in enumerate(offerings):
                offering.withdraw([refs[index]])

    def _finish(self, address: str, clients: list[ExchangeClient], number: int) -> None:
        """Results, and who reads them."""
        for index, client in enumerate(clients):
            client.publish(names.expert_ref(index), _artifact(index, number, "expert"))
            client.publish(names.final_ref(index), _artifact(index, number, "final"))
        with ExchangeClient(address, self._merge) as merge, Onlooking(merge, ("islands/",)) as seen:
            finals = [names.final_ref(index) for index in range(ISLANDS)]
            assert len(seen.wait(finals, PATIENCE_SECONDS)) == ISLANDS
            merge.publish(names.MERGED_REF, seen.fetch(finals[0], PATIENCE_SECONDS))
        with ExchangeClient(address, self._evaluate) as evaluate:
            for ref in evaluate.bindings("experts/"):
                evaluate.fetch(ref)
            evaluate.publish(names.REPORT_REF, _artifact(0, number, "report"))

    async def _clear(self, address: str) -> int:
        """The operator looks at what is bound, and takes it away."""
        _, bindings = await progress.snapshot(address, self._operator)
        await progress.drop(address, self._operator, [Ref(it) for it in bindings])
        return len(bindings)


def _train(client: ExchangeClient, index: int, number: int) -> None:
    """Two checkpoints, of which the second takes the place of the first, and is read again."""
    step = StepName(names.island_step(index))
    for at in (0, 1):
        client.report(ProgressReport(done=at, total=2, loss=1.0))
        made = _artifact(index, number, "checkpoint", changed=at)
        client.publish(names.checkpoint_ref(step, 2 * number + at), made)
    client.drop([names.checkpoint_ref(step, 2 * number)])
    client.fetch(names.checkpoint_ref(step, 2 * number + 1))
    client.flush()


def _artifact(index: int, number: int, kind: str, changed: int = 0) -> Artifact:
    """Of this job alone; only the first tensor is another where it has `changed`."""
    generator = torch.Generator().manual_seed(1000 * number + 10 * index + len(kind))
    tensors = {f"t{it}": torch.randn(NUMBERS, generator=generator) for it in range(TENSORS)}
    tensors["t0"] += changed
    return Artifact(tensors, {"kind": kind})


def _guard() -> Guard:
    return Guard(JOB, Circle.of(NEIGHBOURS))


def _identity(it: Credentials) -> Identity:
    pem: dict[str, Any] = {"authority": it.authority, "certificate": it.certificate, "key": it.key}
    return Identity(process=it.process, **pem)


def main() -> None:
    """Answer commands until the input ends."""
    torch.set_num_threads(1)
    with ExitStack() as stack:
        stack.callback(os._exit, 0)  # no thread of gRPC's may keep it
        obey(Islands(json.loads(sys.stdin.readline())))


if __name__ == "__main__":
    main()
