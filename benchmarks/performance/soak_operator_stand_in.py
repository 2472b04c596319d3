"""The operator as it is, but that its hubs are on this machine: what `soak.py` watches for hours.

It asks real gRPC servers with the identity that it has for each job. The name of a hub is looked up
in a folder in place of a cluster's DNS: that is all that is not real, unless a leak is planted.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from planted_leaks import planted

from atoll_api.names import Ref, StepName
from atoll_operator import __main__ as operator
from atoll_operator import progress
from atoll_operator.errors import HubUnavailableError
from atoll_operator.identity import Identity
from atoll_operator.kubernetes import health, process
from atoll_operator.kubernetes.api import Key
from atoll_operator.kubernetes.controller import Controller
from atoll_operator.plan.model import Binding, StepProgress

ADDRESSES: Final = "SOAK_ADDRESSES"
"""The folder, as `simulated_cluster.py` writes it."""
LEAK: Final = planted()


class DialledHubs:
    """Implements `hearing.HubClient` by the product's own client."""

    def __init__(self, addresses: Path) -> None:
        self._addresses = addresses

    async def snapshot(
        self, address: str, identity: Identity
    ) -> tuple[Mapping[StepName, StepProgress], Mapping[Ref, Binding]]:
        """Over TLS."""
        return await progress.snapshot(self._dialled(address), identity)

    async def drop(self, address: str, identity: Identity, refs: Sequence[Ref]) -> None:
        """Likewise."""
        await progress.drop(self._dialled(address), identity, refs)

    async def excuse(self, address: str, identity: Identity, refs: Sequence[Ref]) -> None:
        """Likewise."""
        await progress.excuse(self._dialled(address), identity, refs)

    def _dialled(self, address: str) -> str:
        try:
            return (self._addresses / address).read_text()
        except FileNotFoundError:
            raise HubUnavailableError(f"nobody answers at {address}") from None


class LeakingController(Controller):
    """Leaves behind what was planted, for each job that is gone."""

    def gone(self, key: Key, uid: str) -> None:
        """As the real one does."""
        super().gone(key, uid)
        LEAK.drip()


if __name__ == "__main__":
    vars(health)["serve"] = partial(health.serve, host="127.0.0.1")
    vars(process)["progress"] = DialledHubs(Path(os.environ[ADDRESSES]))
    if LEAK.descriptors or LEAK.size_bytes:
        vars(process)["Controller"] = LeakingController
    sys.exit(operator.main())
