"""The local runtime with stub workers: real processes, and a hub that keeps refs as files."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from atoll_api.names import Ref, StepName
from atoll_operator.errors import HubUnavailableError
from atoll_operator.identity import Identity
from atoll_operator.local.options import LocalOptions, Timing
from atoll_operator.plan.model import Binding, StepProgress

PROMPT = Timing(
    poll_seconds=0.02,
    hub_ready_seconds=20.0,
    stop_grace_seconds=5.0,
    first_backoff_seconds=0.01,
    last_backoff_seconds=0.05,
    orphan_wait_seconds=20.0,
)


@dataclass
class StubWorld:
    """What the stub workers are told, and what they have done."""

    folder: Path
    silent: bool = False

    def script(self, step: str, *attempts: str) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / f"{step}.script").write_text("\n".join(attempts))

    def attempts(self, step: str) -> list[int]:
        path = self.folder / f"{step}.attempts"
        return [int(pid) for pid in path.read_text().split()] if path.exists() else []

    def bind(self, ref: str) -> None:
        path = self.folder / "refs" / ref.replace("/", "@")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("blake3:0")

    def options(self, timing: Timing = PROMPT, parallel: int | None = 4) -> LocalOptions:
        self.folder.mkdir(parents=True, exist_ok=True)
        stub = Path(__file__).with_name("stub_worker.py")
        command = (sys.executable, "-S", str(stub), str(self.folder))
        return LocalOptions(
            base_folder=self.folder,
            parallel=parallel,
            worker_command=command,
            hub_client=self,
            timing=timing,
        )

    async def snapshot(
        self, _address: str, _identity: Identity
    ) -> tuple[Mapping[StepName, StepProgress], Mapping[Ref, Binding]]:
        if self.silent:
            raise HubUnavailableError("the hub is silent")
        refs = sorted(path.name for path in (self.folder / "refs").glob("*"))
        return {}, {Ref(ref.replace("@", "/")): Binding("blake3:0", 1) for ref in refs}

    async def drop(self, _address: str, _identity: Identity, refs: Sequence[Ref]) -> None:
        if self.silent:
            raise HubUnavailableError("the hub is silent")
        for ref in refs:
            (self.folder / "refs" / ref.replace("/", "@")).unlink(missing_ok=True)

    async def excuse(self, _address: str, _identity: Identity, refs: Sequence[Ref]) -> None:
        if self.silent:
            raise HubUnavailableError("the hub is silent")
        for ref in refs:
            self.bind(ref)
