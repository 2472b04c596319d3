"""What opens the hub of a job: its ConfigMap, its Secret, and whether the hub is there."""

from typing import Any

import pytest
from cryptography import x509
from submitted_jobs import COMPLETE, KEY, LAB, accepted, lab, says, submitted

from atoll_api import names
from atoll_api.exit_codes import ExitCode
from atoll_cli.cluster.accepted import read_papers, read_resolved
from atoll_cli.errors import CliError
from atoll_operator.errors import ForbiddenError
from atoll_operator.kubernetes.api import Key, Resource
from atoll_operator.kubernetes.fake_api import FakeApi
from atoll_operator.kubernetes.faults import Fault
from atoll_operator.kubernetes.resources import CONFIG_MAPS, SECRETS, STATEFUL_SETS, TRAINING_JOBS


async def with_hub(**spec: Any) -> FakeApi:
    api = lab()
    submitted(api, **spec)
    await accepted(api)
    return api


def put(api: FakeApi, resource: Resource, key: Key, **fields: Any) -> None:
    body = api.server.get(resource, key)
    api.server.put(resource, {**body, **fields})


async def test_the_papers_are_those_of_the_command_line() -> None:
    api = await with_hub()
    papers = await read_papers(api, LAB, "digits")
    uid = api.server.objects(TRAINING_JOBS)[KEY]["metadata"]["uid"]
    assert papers.process == names.Process(uid, names.CLI)
    certificate = x509.load_pem_x509_certificate(papers.certificate)
    alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    uris = alternatives.value.get_values_for_type(x509.UniformResourceIdentifier)
    assert uris == [papers.process.uri]
    assert papers.authority.count(b"BEGIN CERTIFICATE") == 2


async def test_the_job_as_it_was_accepted_has_every_default() -> None:
    resolved = await read_resolved(await with_hub(), LAB, "digits")
    assert resolved.spec.training.steps == 2000


async def test_a_job_that_nobody_has_accepted() -> None:
    api = lab()
    submitted(api)
    with pytest.raises(CliError, match="no operator has accepted it yet: `atoll status digits`"):
        await read_papers(api, LAB, "digits")


async def test_a_config_map_of_an_earlier_job_does_not_count() -> None:
    api = await with_hub()
    uid = api.server.objects(TRAINING_JOBS)[KEY]["metadata"]["uid"]
    key = Key("lab", names.job_object("digits", uid))
    metadata = api.server.get(CONFIG_MAPS, key)["metadata"]
    put(api, CONFIG_MAPS, key, metadata={**metadata, "ownerReferences": [{"uid": "another"}]})
    with pytest.raises(CliError, match="no operator has accepted it yet"):
        await read_papers(api, LAB, "digits")


async def test_a_job_of_another_release() -> None:
    api = await with_hub()
    uid = api.server.objects(TRAINING_JOBS)[KEY]["metadata"]["uid"]
    put(api, CONFIG_MAPS, Key("lab", names.job_object("digits", uid)), data={"job.json": "{}"})
    with pytest.raises(CliError, match="was accepted by another release") as caught:
        await read_resolved(api, LAB, "digits")
    assert caught.value.exit_code == ExitCode.FINAL


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"spec": {"replicas": 0}}, "it is Complete and its hub was stopped"),
        ({"status": {"readyReplicas": 0}}, "its hub is not ready: `atoll logs digits hub`"),
    ],
)
async def test_a_hub_that_is_not_there(fields: dict[str, Any], expected: str) -> None:
    api = await with_hub()
    says(api, COMPLETE)
    put(api, STATEFUL_SETS, Key("lab", "digits-hub"), **fields)
    with pytest.raises(CliError, match=expected):
        await read_papers(api, LAB, "digits")


async def test_a_hub_that_was_not_made_yet() -> None:
    api = await with_hub()
    await api.delete(STATEFUL_SETS, Key("lab", "digits-hub"))
    with pytest.raises(CliError, match="has no hub yet: try again"):
        await read_papers(api, LAB, "digits")


async def test_who_may_not_look_at_the_hub_may_still_ask_it() -> None:
    server = (await with_hub()).server
    api = FakeApi(server, faults=(Fault(2, ForbiddenError("no")),))
    assert (await read_papers(api, LAB, "digits")).key.startswith(b"-----BEGIN")


@pytest.mark.parametrize("data", [{}, {"cli.crt": "?", "cli.key": "?"}])
async def test_a_secret_that_holds_something_else(data: dict[str, str]) -> None:
    api = await with_hub()
    (key,) = [it for it in api.server.objects(SECRETS) if it.name.endswith("-0")]
    await api.delete(SECRETS, key)
    with pytest.raises(CliError, match="is gone: delete the job"):
        await read_papers(api, LAB, "digits")
    metadata = {"namespace": key.namespace, "name": key.name}
    api.server.put(SECRETS, {"metadata": metadata, "data": data})
    with pytest.raises(CliError, match=r"no readable cli\.crt"):
        await read_papers(api, LAB, "digits")
