"""A store that is nearly full is told of once, and again after there was room."""

from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from atoll_worker.exchange.fullness import Fullness
from atoll_worker.exchange.shelf import Shelf


@dataclass
class Bound:
    size_bytes: int
    here: bool = True


@dataclass
class Fake:
    """What is bound."""

    bound: list[Bound] = field(default_factory=list)

    def bindings(self) -> list[Bound]:
        return self.bound

    def is_here(self, bound: Any) -> bool:
        return bool(bound.here)


def test_the_quota_is_told_of_once_until_there_was_room(caplog: pytest.LogCaptureFixture) -> None:
    store = Fake([Bound(60), Bound(1000, here=False)])
    fullness = Fullness(cast(Shelf, store), 100, None)
    told = []
    for size in (60, 90, 95, 85, 92, 70, 91):
        store.bound[0] = Bound(size)
        fullness.look()
        told.append([it.getMessage() for it in caplog.records])
        caplog.clear()
    said = "the job's quota is nearly full: {} of 100 bytes"
    assert told == [[], [said.format(90)], [], [], [], [], [said.format(91)]]


def test_the_disk_is_told_of(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    import shutil
    from types import SimpleNamespace

    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(total=1000, free=50))
    Fullness(cast(Shelf, Fake()), None, tmp_path).look()
    assert caplog.messages == ["the disk of the store is nearly full: 950 of 1000 bytes"]


def test_without_a_quota_and_a_disk_there_is_nothing_to_say(
    caplog: pytest.LogCaptureFixture,
) -> None:
    Fullness(cast(Shelf, Fake([Bound(10**15)])), None, None).look()
    assert caplog.messages == []
