"""What an island tells of each round, once the checkpoint behind it is saved: others then let go of it."""

from collections.abc import Mapping, Sequence

from pydantic import JsonValue

from atoll_api import names
from atoll_worker.ports import Artifact, Artifacts
from atoll_worker.train.loop import TrainingState

Record = dict[str, JsonValue]
"""`round`, `snapshots`, `absent`, `shares` and `result` of one round."""


class Records:
    """Those of one island. They stand in its checkpoints for as long as they are not told."""

    def __init__(self, island: int, ends: Sequence[int], artifacts: Artifacts) -> None:
        """Nothing is over yet.

        Args:
            island: its number.
            ends: the step after which each round ends.
            artifacts: where to tell.
        """
        self._island = island
        self._ends = ends
        self._artifacts = artifacts
        self._untold: list[Record] = []
        """That of the state."""

    def __len__(self) -> int:
        """How many are not told."""
        return len(self._untold)

    def resume(self, state: TrainingState) -> None:
        """Tell what a process did not that ended between its checkpoint and its word."""
        self._untold = state.untold
        for record in tuple(self._untold):
            self._tell(record)

    def add(self, record: Record) -> None:
        """A round is over."""
        self._untold.append(record)

    def saved(self, number: int) -> None:
        """Tell of what a checkpoint of this number holds. Called on another thread than `add`."""
        for record in [it for it in self._untold if self._saved_by(it) <= number]:
            self._tell(record)

    def _saved_by(self, record: Mapping[str, JsonValue]) -> int:
        """The number of the first checkpoint after its round; see `checkpoint.number_of`."""
        number = _round_of(record)
        return self._ends[number] + number + 1

    def _tell(self, record: Record) -> None:
        ref = names.record_ref(self._island, _round_of(record))
        self._artifacts.publish(ref, Artifact({}, record))
        self._untold.remove(record)


def _round_of(record: Mapping[str, JsonValue]) -> int:
    number = record["round"]
    assert isinstance(number, int)
    return number
