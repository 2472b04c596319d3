"""A job is written down once: certificates first, the ConfigMap that names them last."""

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from builders import job_document

from atoll_api import names
from atoll_operator.errors import StrangerError, UnavailableError
from atoll_operator.kubernetes.accepting import (
    Accepted,
    accept,
    blueprint_of,
    find_accepted,
    require_owned,
)
from atoll_operator.kubernetes.api import Api, Json, Key
from atoll_operator.kubernetes.authority import OperatorAuthority, load_authority
from atoll_operator.kubernetes.fake_api import FakeApi
from atoll_operator.kubernetes.fake_server import FakeServer
from atoll_operator.kubernetes.faults import Fault, KilledError, When
from atoll_operator.kubernetes.manifests.blueprint import Collector
from atoll_operator.kubernetes.resources import CONFIG_MAPS, SECRETS, TRAINING_JOBS
from atoll_operator.kubernetes.settings import OperatorSettings
from atoll_operator.kubernetes.training_jobs import JobView, view_of

SETTINGS = OperatorSettings("worker:1", "atoll", "operator-0", {"app": "atoll"})
OPERATOR = Key("atoll", "atoll-operator-authority")
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def submitted(server: FakeServer, **spec: Any) -> JobView:
    body = job_document(**spec)
    body["metadata"]["namespace"] = "team"
    return view_of(server.create(TRAINING_JOBS, body))


async def accepted(api: Api, view: JobView) -> Accepted:
    operator = await load_authority(api, OPERATOR, NOW)
    found = await find_accepted(api, view)
    return found or await accept(api, view.parse(), view, SETTINGS, operator)


def config_map(server: FakeServer) -> Json:
    (found,) = server.objects(CONFIG_MAPS).values()
    return found


async def test_a_job_is_written_down_with_every_default() -> None:
    server = FakeServer()
    view = submitted(server)
    found = await accepted(FakeApi(server), view)
    assert found.resolved().job.uid == view.uid
    assert found.resolved().spec == view.parse().spec
    assert found.resolved().image == "worker:1"
    document = json.loads(config_map(server)["data"]["job.json"])
    assert document["spec"]["training"]["steps"] == 2000
    assert found.trusted.count(b"BEGIN CERTIFICATE") == 2, "the job's authority and the operator's"


async def test_it_is_written_once() -> None:
    server = FakeServer()
    view = submitted(server)
    first = await accepted(FakeApi(server), view)
    again = FakeApi(server)
    assert await accepted(again, view) == first
    assert len(server.objects(CONFIG_MAPS)) == 1
    assert not [it for it in again.requests if it.verb != "get"]


async def test_others_get_their_turn_while_many_certificates_are_issued() -> None:
    api, turns = FakeApi(), 0
    view = submitted(api.server, islands={"count": 300}, partition={"type": "Random"})
    operator = await load_authority(api, OPERATOR, NOW)

    async def others() -> None:
        nonlocal turns
        while not api.server.objects(CONFIG_MAPS):
            turns += not api.server.objects(SECRETS).keys() - {OPERATOR}
            await asyncio.sleep(0)

    waiting = asyncio.create_task(others())
    await accept(api, view.parse(), view, SETTINGS, operator)
    await waiting
    assert turns > 300 / 50


async def test_no_key_is_in_what_others_may_read() -> None:
    server = FakeServer()
    await accepted(FakeApi(server), submitted(server))
    assert "PRIVATE" not in json.dumps(config_map(server))


async def test_the_operators_key_is_in_no_secret_of_a_job() -> None:
    server = FakeServer()
    await accepted(FakeApi(server), submitted(server))
    data = {str(key): it["data"] for key, it in server.objects(SECRETS).items()}
    own = data.pop(str(OPERATOR))
    assert own.keys() == {"ca.crt", "ca.key"}
    assert data
    assert not any("ca.key" in it or own["ca.key"] in it.values() for it in data.values())


@pytest.mark.parametrize("when", list(When))
async def test_whoever_dies_on_the_way_is_followed_by_one_who_finishes(when: When) -> None:
    calm = FakeApi(server := FakeServer())
    await accepted(calm, submitted(server))
    for at in range(len(calm.requests)):
        server = FakeServer()
        view = submitted(server)
        with pytest.raises(KilledError):
            await accepted(FakeApi(server, (Fault(at, KilledError(), when),)), view)
        found = await accepted(FakeApi(server), view)
        named = names.identity_object("digits", found.resolved().fingerprint, 0)
        assert Key("team", named) in server.objects(SECRETS), at
        assert len(server.objects(CONFIG_MAPS)) == 1


async def test_an_answer_that_is_lost_is_no_second_beginning() -> None:
    calm = FakeApi(server := FakeServer())
    await accepted(calm, submitted(server))
    server = FakeServer()
    view = submitted(server)
    lost = Fault(len(calm.requests) - 1, UnavailableError("no answer"), When.AFTER)
    with pytest.raises(UnavailableError):
        await accepted(FakeApi(server, (lost,)), view)
    before = server.objects(SECRETS).keys()
    found = await accepted(FakeApi(server), view)
    assert server.objects(SECRETS).keys() == before
    assert all(found.resolved().fingerprint in key.name for key in before if key != OPERATOR)


async def test_the_remains_of_another_job_are_not_taken_over() -> None:
    server = FakeServer()
    await accepted(FakeApi(server), submitted(server))
    ((key, body),) = server.objects(TRAINING_JOBS).items()
    other = {**body, "metadata": {**body["metadata"], "uid": "another"}}
    assert key == Key("team", "digits")
    assert await find_accepted(FakeApi(server), view_of(other)) is None
    found = config_map(server)
    with pytest.raises(StrangerError, match="wait until it is gone"):
        require_owned(found, view_of(other))


async def test_several_operators_share_one_authority() -> None:
    api = FakeApi(FakeServer())
    first = await load_authority(api, OPERATOR, NOW)
    assert await load_authority(api, OPERATOR, NOW) == first
    assert isinstance(first, OperatorAuthority)


@pytest.mark.parametrize(
    ("where", "peers", "expected"),
    [
        ("http://collector:4000", ({"podSelector": {}},), Collector(({"podSelector": {}},), 4000)),
        ("http://collector", ({"podSelector": {}},), Collector(({"podSelector": {}},), 4317)),
        ("http://collector", (), None),
        ("", ({"podSelector": {}},), None),
    ],
)
async def test_pods_may_dial_a_collector_that_somebody_named(
    where: str, peers: tuple[Json, ...], expected: Collector | None
) -> None:
    server = FakeServer()
    view = submitted(server)
    resolved = (await accepted(FakeApi(server), view)).resolved()
    tracing = {"OTEL_EXPORTER_OTLP_ENDPOINT": where} if where else {}
    settings = replace(SETTINGS, tracing=tracing, tracing_to=peers)
    shown = blueprint_of(resolved, view, settings).settings
    assert shown.collector == expected
    assert shown.environment == {"ATOLL_LOG_FORMAT": "json", "ATOLL_LOG_LEVEL": "info"} | tracing
