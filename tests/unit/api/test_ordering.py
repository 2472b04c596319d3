"""What each process is told."""

import pytest
from builders import job

from atoll_api.hub_order import BucketStore, FolderStore
from atoll_api.ordering import HubPlace, Place, hub_order, neighbours, work_order
from atoll_api.spec import TrainingJobSpec
from atoll_api.work_order import (
    IdentityFiles,
    JobIdentity,
    WorkOrder,
    dump,
    parse,
    refs_written,
)
from atoll_operator.plan.model import Step
from atoll_operator.plan.pipeline import pipeline

IDENTITY = JobIdentity(name="digits", uid="u")
FILES = IdentityFiles(certificate="/c", key="/k", authority="/a")
PLACE = Place("127.0.0.1:7000", "/out", FILES)
HUB = HubPlace("/out/hub", "/out/ready", FILES, holder="pc:/out")
SPEC = job(3, quorum=2, baseline=True, seed=7).spec


def order_of(spec: TrainingJobSpec, step: Step) -> WorkOrder:
    return work_order(IDENTITY, spec, step.process(IDENTITY.uid), PLACE)


@pytest.mark.parametrize("step", pipeline(SPEC), ids=lambda step: str(step.name))
def test_each_step_has_an_order_that_binds_its_ref(step: Step) -> None:
    order = order_of(SPEC, step)

    assert parse(dump(order)) == order
    assert order.role == step.role
    assert order.step == step.name
    assert order.identity == FILES
    assert refs_written(order) == step.refs
    assert order.role == "hub" or (order.hub, order.seed, order.threads) == (PLACE.hub, 7, 1)


def test_the_hub_has_an_order_too() -> None:
    order = hub_order(IDENTITY, SPEC, HUB)

    assert parse(dump(order)) == order
    assert (order.step, order.identity, order.port) == ("hub", FILES, 0)
    assert order.store == FolderStore(folder="/out/hub")
    assert order.quota_bytes is None


def test_the_hub_is_told_which_bucket_and_how_much() -> None:
    chosen = {
        "url": "s3://my-bucket/teams/a/",
        "endpoint": "http://127.0.0.1:9000/",
        "region": "eu-central-1",
        "credentialsSecretRef": {"name": "keys"},
    }
    storage = {"type": "ObjectStore", "objectStore": chosen}
    spec = job(2, artifacts={"storage": storage, "quota": "2Mi"}).spec
    order = hub_order(IDENTITY, spec, HUB)

    assert parse(dump(order)) == order
    assert order.quota_bytes == 2 * 1024 * 1024
    assert order.store == BucketStore(
        bucket="my-bucket",
        prefix="teams/a/digits-u",
        endpoint="http://127.0.0.1:9000",
        region="eu-central-1",
        spool="/out/hub",
        holder="pc:/out",
    )


def test_a_bucket_without_a_prefix_holds_many_jobs() -> None:
    storage = {"type": "ObjectStore", "objectStore": {"url": "s3://my-bucket"}}
    order = hub_order(IDENTITY, job(2, artifacts={"storage": storage}).spec, HUB)

    assert order.store == BucketStore(
        bucket="my-bucket", prefix="digits-u", spool="/out/hub", holder="pc:/out"
    )


@pytest.mark.parametrize("encoding", ["Raw", "Int8", "Delta"])
def test_the_initialization_is_published_where_deltas_are_taken_against_it(encoding: str) -> None:
    spec = job(2, exchange={"encoding": encoding}).spec
    order = order_of(spec, pipeline(spec)[0])

    assert parse(dump(order)) == order
    assert ("init" in refs_written(order)) is (encoding == "Delta")
    assert order.to_document().get("initialization") == (
        spec.task.to_document() if encoding == "Delta" else None
    )


def test_the_encoding_is_told_to_those_that_publish_trained_models() -> None:
    spec = job(2, baseline=True, exchange={"encoding": "Int8"}).spec
    orders = [order_of(spec, step).to_document() for step in pipeline(spec)]
    told = {order["role"]: order.get("encoding") for order in orders}
    assert told == {
        "partition": None,
        "island": "Int8",
        "baseline": "Int8",
        "router": "Int8",
        "evaluate": None,
    }


TEXT = job(
    2,
    baseline=True,
    task={"type": "Language"},
    data={"source": "builtin://python-stdlib"},
    training={"steps": 7, "batchSizePerIsland": 16},
    strategy={"type": "ExpertEnsemble", "expertEnsemble": {"seedSteps": 5}},
    exchange={"encoding": "Delta"},
).spec


@pytest.mark.parametrize("step", pipeline(TEXT), ids=lambda step: str(step.name))
def test_each_step_of_a_job_of_text_has_an_order_that_binds_its_ref(step: Step) -> None:
    order = order_of(TEXT, step)

    assert parse(dump(order)) == order
    assert refs_written(order) == step.refs


def test_who_goes_on_from_the_seed_is_told_so() -> None:
    orders = {o.role: o.to_document() for o in (order_of(TEXT, s) for s in pipeline(TEXT))}

    assert {role for role, order in orders.items() if order.get("seeded")} == {"island", "baseline"}
    assert (orders["seed"]["steps"], orders["seed"]["count"]) == (5, 2)
    assert orders["seed"]["encoding"] == "Raw"
    assert orders["partition"].get("initialization") is None
    assert orders["partition"]["context"] == 256
    assert orders["evaluate"]["router"]["type"] == "Centroid"
    assert "clusters" in refs_written(order_of(TEXT, pipeline(TEXT)[0]))


@pytest.mark.parametrize("norm_statistics", ["Reestimate", "Average"])
def test_an_island_that_merges_is_done_when_its_step_is(norm_statistics: str) -> None:
    merging = {"finalMerge": {"normStatistics": norm_statistics}}
    spec = job(3, strategy={"type": "SingleMerge", "singleMerge": merging}).spec
    for step in pipeline(spec):
        refs = refs_written(order_of(spec, step))
        assert refs == step.refs
        assert step.island is None or f"islands/{step.island}/final" in refs


@pytest.mark.parametrize("topology", ["Ring", "FullyConnected", "Bipartite"])
@pytest.mark.parametrize("count", [3, 4, 6])
def test_a_hub_is_told_who_reads_whom_in_few_words(topology: str, count: int) -> None:
    merging = {"type": "IterativeMerge", "iterativeMerge": {"topology": {"type": topology}}}
    spec = job(count, task={"type": "Classification"}, strategy=merging).spec
    order = hub_order(IDENTITY, spec, HUB)

    around = [tuple(j for j in it if j != i) for i, it in enumerate(order.around)]
    assert around == list(neighbours(spec))
    complete = topology == "FullyConnected" or (topology, count) == ("Ring", 3)
    halved = topology == "Bipartite" or (topology, count) == ("Ring", 4)
    assert (order.neighbours == ()) is (complete or halved)
    assert order.everybody == (count if complete else 0)
    assert order.halves == (count if halved else 0)


@pytest.mark.parametrize("topology", ["FullyConnected", "Bipartite"])
def test_what_many_islands_read_is_held_once(topology: str) -> None:
    merging = {"type": "IterativeMerge", "iterativeMerge": {"topology": {"type": topology}}}
    spec = job(300, task={"type": "Classification"}, strategy=merging).spec
    order = hub_order(IDENTITY, spec, HUB)
    assert all(isinstance(it, range) for it in order.around)
    assert len(order.model_dump_json()) < 2000


def test_a_hub_of_islands_that_never_meet_is_told_of_nobody() -> None:
    order = hub_order(IDENTITY, SPEC, HUB)

    assert (order.around, order.neighbours, order.everybody, order.halves) == ((), (), 0, 0)
