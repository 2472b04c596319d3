"""What can be seen of a run, and done to it, from outside: its processes, its folder, its disk."""

import contextlib
import fcntl
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from atoll_runs import children_of
from plans import HUB, OPERATOR
from real_plans import NURSERY

from atoll_api import names
from atoll_api.names import Ref
from atoll_worker.errors import CorruptArtifactError
from atoll_worker.exchange import manifest as manifests
from atoll_worker.exchange.content import Run as Extent
from atoll_worker.exchange.content import digest_of
from atoll_worker.exchange.store import Store

DISK_BYTES: Final = 64 * 1024**2
FILLER: Final = "filler"
"""What fills a disk; no file of a run has this name."""


def file_of(ref: str) -> str:
    """The name of the file of a ref in the store."""
    return f"{digest_of(ref.encode()).removeprefix('blake3:')}.json"


def is_bound(folder: Path, ref: str) -> bool:
    """Whether a ref is bound, by the files of the store."""
    return (folder / "hub/refs" / file_of(ref)).exists()


def refs(folder: Path) -> dict[str, str]:
    """Every ref and its digest, by the files of the store, whether a hub runs or not."""
    found = (json.loads(it.read_text()) for it in (folder / "hub/refs").glob("*.json"))
    return {it["ref"]: it["digest"] for it in found}


def written_by(step: str, *, merging: bool) -> Ref:
    """What says that a step has done its main work."""
    if step.startswith("island-"):
        island = int(step.removeprefix("island-"))
        return names.final_ref(island) if merging else names.expert_ref(island)
    return {
        names.PARTITION: names.ASSIGNMENT_REF,
        names.ROUTER: names.ROUTER_REF,
        names.MERGE: names.MERGED_REF,
        names.EVALUATE: names.REPORT_REF,
    }[names.StepName(step)]


def pids_of(target: str, run: int, folder: Path) -> list[int]:
    """The processes of a step, of the hub, of the nursery, or of `atoll run` itself."""
    if target == OPERATOR:
        return [run]
    if target == NURSERY:
        return [it for it in below(run) if _command(it).endswith("-m atoll_worker.nursery")]
    return children_of(folder, target)


def below(pid: int) -> set[int]:
    """Its children and theirs."""
    parents = _parents()
    found, more = set[int](), {pid}
    while more:
        more = {it for it, parent in parents.items() if parent in more} - found
        found |= more
    return found


@dataclass(frozen=True, order=True)
class Individual:
    """A process, and no other that has its number later."""

    pid: int
    began: str

    @classmethod
    def of(cls, pid: int) -> "Individual":
        """Whoever has the number now."""
        return cls(pid, (*_stat(pid), *[""] * 20)[19])

    def lives(self) -> bool:
        """Whether it has not ended: where there is no init, the dead stay."""
        stat = _stat(self.pid)
        return bool(stat) and stat[0] not in "ZX" and stat[19] == self.began

    def __str__(self) -> str:
        return f"{self.pid} {_command(self.pid)}"


def tell(pid: int, number: int) -> None:
    """Send a signal to a process that may be gone."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def wake(pids: list[int]) -> None:
    """After a SIGSTOP."""
    for pid in pids:
        tell(pid, signal.SIGCONT)


def traces(folder: Path, target: str) -> tuple[object, ...]:
    """What changes when a process goes on."""
    if target == OPERATOR:
        return _stamps(folder / "status.json")
    if target in (NURSERY, HUB):
        log = _stamps(folder / "logs/hub.log") if target == HUB else ()
        return (*_stamps(folder / "hub/refs"), *_stamps(folder / "hub/progress.json"), *log)
    return _stamps(folder / "logs" / f"{target}.log")


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """A disk of 64 MiB in place of a folder. Needs root."""
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)]
    subprocess.run(mount, check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path) -> None:
    """Leave not a byte of a disk."""
    with (folder / FILLER).open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


def free(folder: Path) -> None:
    """Give the space back."""
    (folder / FILLER).unlink(missing_ok=True)


def damage(folder: Path, what: str, number: int, *, truncate: bool) -> str:
    """Flip a bit of one file, or cut it short; which one and where."""
    path = _file(folder, what, number)
    content = bytearray(path.read_bytes())
    at = number * 7919 % len(content)
    if truncate:
        del content[at:]
    else:
        content[at] ^= 1 << number % 8
    path.write_bytes(content)
    return f"{path.relative_to(folder)} at {at}"


def _file(folder: Path, what: str, number: int) -> Path:
    checkpoints = [it for it in refs(folder) if it.startswith("checkpoints/")]
    if what == "checkpoint" and not checkpoints:  # finished steps need none
        what = "packs"
    if what in ("packs", "refs"):
        found = sorted((folder / "hub" / what).iterdir())
        return found[number % len(found)]
    if what == "checkpoint":
        last = max(checkpoints)
        store = Store(folder / "hub")
        place = store._index.manifest(refs(folder)[last])
        store.close()
        assert place is not None, last
        return folder / "hub/packs" / place[0]
    return folder / what if (folder / what).exists() else folder / "hub" / what


def is_locked(folder: Path) -> bool:
    """Whether somebody works on the run: each of its processes holds its lock."""
    with (folder / "lock").open("rb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def unreadable(folder: Path) -> dict[str, str]:
    """Every ref whose artifact cannot be had whole, and what the store says of it.

    Not of snapshots: their bytes are with an island, which may be lost by now.
    """
    wrong = {}
    store = Store(folder / "hub")
    try:
        for bound in (it for it in store.bindings() if "/rounds/" not in it.ref):
            try:
                _, content = store.resolve(bound.ref)
                size = manifests.parse(content).content.size_bytes
                for _ in store.read(bound.ref, bound.digest, [Extent(0, size)]) if size else ():
                    pass
            except CorruptArtifactError as error:
                wrong[bound.ref] = str(error)
    finally:
        store.close()
    return wrong


def said(folder: Path, ref: str) -> dict[str, Any]:
    """The metadata of a bound artifact, of a run that has ended."""
    store = Store(folder / "hub")
    try:
        return dict(manifests.parse(store.resolve(ref)[1]).metadata)
    finally:
        store.close()


def _parents() -> dict[int, int]:
    """Everybody's parent."""
    pids = [int(it.name) for it in Path("/proc").iterdir() if it.name.isdigit()]
    return {pid: int(stat[1]) for pid in pids if (stat := _stat(pid))}


def _command(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    return ""


def _stat(pid: int) -> list[str]:
    """What the kernel says of it, from its state on; nothing of one that is gone."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return []


def _stamps(path: Path) -> tuple[object, ...]:
    with contextlib.suppress(OSError):
        stat = path.stat()
        return (stat.st_size, stat.st_mtime_ns, stat.st_ino)
    return ()
