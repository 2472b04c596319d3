"""Work orders survive the trip, and those of another release are refused."""

import json

import pytest

from atoll_api import hub_order, work_order
from atoll_api.spec.data import Data
from atoll_api.spec.partition import Partition
from atoll_api.work_order import NOBODY, JobIdentity, PartitionOrder, WorkOrderError

ORDER = PartitionOrder(
    job=JobIdentity(name="digits", uid="u"),
    step="partition",
    identity=NOBODY,
    hub="127.0.0.1:1",
    seed=0,
    data=Data(source="builtin://digits"),
    partition=Partition(type="Random"),
    count=4,
    batch_size=64,
)


def test_round_trip_is_exact_and_stable() -> None:
    text = work_order.dump(ORDER)
    assert work_order.parse(text) == ORDER
    assert work_order.dump(work_order.parse(text)) == text


def test_refs_written_end_with_the_parts() -> None:
    refs = work_order.refs_written(ORDER)
    assert refs[0] == "assignment"
    assert refs[1:] == tuple(f"assignment/{i}" for i in range(4))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "schema version None"),
        ('{"schemaVersion": 2}', "schema version 2, this worker reads 1: run the worker"),
        ('{"schemaVersion": 1, "role": "cook"}', "not valid"),
        (json.dumps(ORDER.to_document() | {"count": "4"}), "not valid at partition.count"),
        (json.dumps(ORDER.to_document() | {"extra": 1}), "not valid at partition.extra"),
    ],
)
def test_refusals_say_what_to_do(text: str, expected: str) -> None:
    with pytest.raises(WorkOrderError, match=expected):
        work_order.parse(text)


@pytest.mark.parametrize("changes", [{"x" * 70_000: 1}, {"schemaVersion": "x" * 70_000}])
def test_refusals_are_short(changes: dict[str, object]) -> None:
    with pytest.raises(WorkOrderError) as caught:
        work_order.parse(json.dumps(ORDER.to_document() | changes))
    assert len(str(caught.value)) < 600


def test_a_hub_reads_its_order_without_the_others() -> None:
    order = work_order.HubOrder(
        job=JobIdentity(name="digits", uid="u"),
        step="hub",
        identity=NOBODY,
        store=hub_order.FolderStore(folder="store"),
        ready_file="ready",
    )
    text = work_order.dump(order)
    assert hub_order.parse(text) == work_order.parse(text) == order
    for bad, expected in (
        (work_order.dump(ORDER), "not valid at hub.role"),
        (json.dumps(order.to_document() | {"port": -1}), "not valid at hub.port"),
        ('{"schemaVersion": 2}', "schema version 2"),
    ):
        with pytest.raises(WorkOrderError, match=expected):
            hub_order.parse(bad)
