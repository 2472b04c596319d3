"""What the hub of one run bound, acknowledged and lost, in order. Knows nothing of how it was made."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol


class Bound(Protocol):
    """A binding, as a store has it."""

    @property
    def ref(self) -> str:
        """Its name."""
        ...

    @property
    def digest(self) -> str:
        """What it is bound to."""
        ...


@dataclass
class Ledger:
    """Every change of the bindings; `wrong` says what must never happen."""

    now: Callable[[], float]
    """Seconds."""
    bound: dict[str, str] = field(default_factory=dict)
    history: dict[str, list[str]] = field(default_factory=dict)
    """Every digest that a ref was bound to, one after another."""
    dropping: set[str] = field(default_factory=set)
    """Of a call that is not over: gone or not, both are right."""
    times: list[float] = field(default_factory=list)
    """When something was bound."""
    damaged: list[str] = field(default_factory=list)
    """Files of the store that were altered from outside."""
    wrong: list[str] = field(default_factory=list)

    def look(self, bindings: Iterable[Bound], whole: bool) -> None:  # noqa: FBT001 - of one kind
        """After a call; not whole: the hub was killed in the middle of it."""
        if not whole:
            return
        now = {it.ref: it.digest for it in bindings}
        for ref, digest in now.items():
            before = self.bound.get(ref)
            if before is not None and before != digest:
                self.wrong.append(f"{ref} was bound to {before} and is to {digest}")
            if before is None:
                self.history.setdefault(ref, []).append(digest)
                self.times.append(self.now())
        self.bound = now

    def hub_opened(self, bindings: Iterable[Bound]) -> None:
        """A hub has read its disk: all that it had ever confirmed has to be there."""
        now = {it.ref: it.digest for it in bindings}
        if not self.damaged:
            for ref, digest in self.bound.items():
                if now.get(ref) != digest and not (ref in self.dropping and ref not in now):
                    self.wrong.append(f"{ref} was confirmed as {digest}, and is {now.get(ref)}")
        for ref, digest in now.items():
            if ref in self.history and ref not in self.bound and not self.damaged:
                self.wrong.append(f"{ref} was dropped, and is back")
            if self.history.setdefault(ref, [])[-1:] != [digest]:
                self.history[ref].append(digest)
        self.bound = now
        self.dropping.clear()

    def seconds_to_continue(self, since: float) -> float | None:
        """From a moment until the next thing was bound."""
        return next((at - since for at in self.times if at > since), None)
