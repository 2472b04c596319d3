"""Credentials for any process of a job, and one client that acts as whoever may."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Self

import grpc

from atoll_api.names import Process, Ref
from atoll_operator.identity import Authority, Identity
from atoll_worker.exchange.access import Action, may
from atoll_worker.exchange.client import ExchangeClient
from atoll_worker.exchange.connection import Patience
from atoll_worker.exchange.identity import Credentials
from atoll_worker.ports import Artifact, Binding, ProgressReport

ROLES = ("partition", "island", "router", "baseline", "evaluate", "operator", "cli")
ISLANDS = 32


class Household:
    """An authority, and whoever belongs to its job."""

    def __init__(self, job_uid: str = "0", now: datetime | None = None) -> None:
        self.job_uid = job_uid
        self._authority = Authority(job_uid, now or datetime.now(UTC))

    def identity(self, role: str, index: int = 0) -> Identity:
        return self._authority.issue(Process(self.job_uid, role, index))

    def credentials(self, role: str, index: int = 0) -> Credentials:
        issued = self.identity(role, index)
        return Credentials(issued.process, issued.certificate, issued.key, issued.authority)

    def channel(self, address: str, role: str, index: int = 0) -> grpc.Channel:
        """For calls that no client makes."""
        return open_channel(address, self.credentials(role, index))

    def binder(self, ref: str) -> tuple[str, int]:
        """The role and index of the one who may bind a ref."""
        everyone = [(role, i) for role in ROLES for i in range(ISLANDS if role == "island" else 1)]
        (found,) = (
            (role, i)
            for role, i in everyone
            if may(Process(self.job_uid, role, i), Action.BIND, ref, self.job_uid)
        )
        return found


def open_channel(
    address: str, credentials: Credentials, server: Process | None = None
) -> grpc.Channel:
    """To the hub, or another server of the job."""
    options = (
        ("grpc.ssl_target_name_override", (server or credentials.hub).host),
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.max_receive_message_length", 16 << 20),
        ("grpc.max_send_message_length", 16 << 20),
    )
    return grpc.secure_channel(address, credentials.for_channel(), options)


class Everyone:
    """`ports.Artifacts` and a snapshot, each call made by a process that may make it."""

    def __init__(self, household: Household, address: str, patience: Patience) -> None:
        self._household = household
        self._address = address
        self._patience = patience
        self._clients: dict[tuple[str, int], ExchangeClient] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def client(self, role: str, index: int = 0) -> ExchangeClient:
        key = (role, index)
        if key not in self._clients:
            credentials = self._household.credentials(role, index)
            client = ExchangeClient(self._address, credentials, self._patience)
            self._clients[key] = self._stack.enter_context(client)
        return self._clients[key]

    def publish(self, ref: Ref, artifact: Artifact) -> Binding:
        try:
            binder = self._household.binder(ref)
        except ValueError:  # nobody may; what is no ref at all is refused before it is sent
            binder = ("island", 0)
        return self.client(*binder).publish(ref, artifact)

    def fetch(self, ref: Ref) -> Artifact:
        return self.client("cli").fetch(ref)

    def bindings(self, prefix: str = "") -> Mapping[Ref, Binding]:
        return self.client("cli").bindings(prefix)

    def drop(self, refs: Sequence[Ref]) -> None:
        self.client("operator").drop(refs)

    def flush(self) -> None: ...

    def snapshot(self) -> Mapping[str, ProgressReport]:
        return self.client("cli").snapshot()
