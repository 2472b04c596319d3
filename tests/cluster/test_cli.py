"""The command line on a real cluster, without an operator: beside a hub that was set up by hand."""

import asyncio
import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
import torch
from atoll_on_cluster import Atoll, atoll_in, good, job_file, wait_for
from kubectl import Document, Kubectl, phase, python_pod
from safetensors import safe_open

from atoll_api import names
from atoll_api.crd import custom_resource_definition
from atoll_api.exit_codes import ExitCode
from atoll_api.names import Process
from atoll_cli.cluster.forwarding import forwarded
from atoll_cli.cluster.kubectl import Kubectl as Program
from atoll_cli.cluster.place import Wanted, find_place
from atoll_operator.identity import Authority
from atoll_operator.kubernetes.accepting import Accepted, accept, blueprint_of
from atoll_operator.kubernetes.authority import OperatorAuthority
from atoll_operator.kubernetes.client import ApiServer, read_configuration
from atoll_operator.kubernetes.manifests.job_objects import surroundings
from atoll_operator.kubernetes.settings import OperatorSettings
from atoll_operator.kubernetes.training_jobs import JobView, view_of
from atoll_worker.exchange.client import ExchangeClient
from atoll_worker.exchange.identity import Credentials
from atoll_worker.ports import Artifact

NUMBERS = b'{"findings": {}, "run": {}}'
FILES = {"report.html": b"<html>", "report.json": NUMBERS, "samples.png": b"\x89PNG"}


@pytest.fixture
def atoll(kubectl: Kubectl, tmp_path: Path) -> Atoll:
    """Where the definition of TrainingJobs is known."""
    if kubectl.tried("get", "customresourcedefinition", "trainingjobs.atoll.dev").returncode:
        kubectl.apply(custom_resource_definition())
        known = "customresourcedefinition/trainingjobs.atoll.dev"
        kubectl.run("wait", "--for=condition=Established", known)
    return atoll_in(kubectl, tmp_path)


async def _accept(kubectl: Kubectl, view: JobView, settings: OperatorSettings) -> Accepted:
    made = Authority(None, datetime.now(UTC))
    operator = OperatorAuthority(made.certificate, made.private_pem())
    async with ApiServer(await read_configuration(Path(kubectl.kubeconfig))) as api:
        return await accept(api, view.parse(), view, settings, operator)


@pytest.fixture
def hub(kubectl: Kubectl, atoll: Atoll, tmp_path: Path, worker_image: str) -> Accepted:
    """A job whose hub runs, and that no operator looks at."""
    good(atoll("submit", job_file(tmp_path, managedBy="example.org/nobody")))
    view = view_of(json.loads(kubectl.run("get", "trainingjob", "digits", "-o", "json")))
    settings = OperatorSettings(
        worker_image, "nobody", "nobody-0", {"app": "nobody"}, image_pull_policy="IfNotPresent"
    )
    accepted = asyncio.run(_accept(kubectl, view, settings))
    kubectl.apply(*surroundings(blueprint_of(accepted.resolved(), view, settings)))
    wait_for(kubectl, "statefulset/digits-hub", "readyReplicas", 1)
    return accepted


@contextmanager
def evaluation(kubectl: Kubectl, accepted: Accepted) -> Iterator[ExchangeClient]:
    """The exchange, as whoever publishes the report."""
    resolved = accepted.resolved()
    secret = names.identity_object("digits", resolved.fingerprint, 0)
    data = json.loads(kubectl.run("get", "secret", secret, "-o", "json"))["data"]
    certificate, key = (base64.b64decode(data[f"evaluate.{it}"]) for it in ("crt", "key"))
    process = Process(resolved.job.uid, "evaluate")
    proof = Credentials(process, certificate, key, accepted.trusted)
    wanted = Wanted(namespace=kubectl.namespace, kubeconfig=Path(kubectl.kubeconfig))
    program = Program(kubectl.program, find_place(wanted))
    with (
        forwarded(program, "digits-hub", names.HUB_PORT) as forward,
        ExchangeClient(forward.address, proof) as client,
    ):
        yield client


def children_in(namespace: str) -> list[bytes]:
    """Processes that kubectl, or a shell that holds it, runs there."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            found.append(path.read_bytes())
    return [it for it in found if f"--namespace={namespace}\0".encode() in it]


def speaking_pod(image: str) -> Document:
    """What a Job would make of a step."""
    pod = python_pod("digits-island-0-x", image, "print('one\\n\\ntwo')")
    pod["metadata"]["labels"] = names.labels("digits", "1", "island", 0)
    pod["spec"]["containers"][0]["name"] = "atoll"
    return pod


def test_what_a_hub_holds_can_be_had(
    kubectl: Kubectl, atoll: Atoll, hub: Accepted, tmp_path: Path
) -> None:
    assert good(atoll("pull", "digits")) == ""
    early = atoll("report", "digits")
    assert early.returncode == ExitCode.FAILED
    assert "no report: the job is Pending" in early.stderr
    page = {name: torch.tensor(list(it), dtype=torch.uint8) for name, it in FILES.items()}
    with evaluation(kubectl, hub) as client:
        bound = client.publish(names.PAGE_REF, Artifact(page, {"role": "evaluate"}))
    assert bound.digest in good(atoll("pull", "digits"))
    assert json.loads(good(atoll("report", "digits", "--json"))) == json.loads(NUMBERS)
    for name, content in FILES.items():
        assert (tmp_path / "digits-report" / name).read_bytes() == content
    good(atoll("pull", "digits", "page", "-o", "page.safetensors"))
    with safe_open(tmp_path / "page.safetensors", framework="np") as file:
        assert file.metadata()["atoll.digest"] == bound.digest


def test_no_key_and_no_child_is_left_behind(
    kubectl: Kubectl, atoll: Atoll, hub: Accepted, tmp_path: Path
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    good(atoll("pull", "digits", TMPDIR=str(scratch)))
    assert list(scratch.iterdir()) == []
    assert children_in(kubectl.namespace) == []


RIGHTS = (
    (["atoll.dev"], ["trainingjobs"], ["get"]),
    ([""], ["configmaps", "secrets", "services", "pods/log"], ["get"]),
    (["apps"], ["statefulsets"], ["get"]),
    ([""], ["pods"], ["get", "list"]),
    ([""], ["pods/portforward"], ["create"]),
)
"""As docs/cli.md has them."""


def reader(kubectl: Kubectl, folder: Path) -> Path:
    """The kubeconfig of somebody who may look at jobs of this namespace, and no more."""
    rules = [dict(zip(("apiGroups", "resources", "verbs"), it, strict=True)) for it in RIGHTS]
    group, kind = "rbac.authorization.k8s.io", {"metadata": {"name": "reader"}}
    who = {"kind": "ServiceAccount", "name": "reader", "namespace": kubectl.namespace}
    role = {"apiGroup": group, "kind": "Role", "name": "reader"}
    kubectl.apply(
        {"apiVersion": "v1", "kind": "ServiceAccount", **kind},
        {"apiVersion": f"{group}/v1", "kind": "Role", **kind, "rules": rules},
        {
            "apiVersion": f"{group}/v1", "kind": "RoleBinding", **kind,
            "subjects": [who], "roleRef": role,
        },
    )  # fmt: skip
    document = json.loads(kubectl.run("config", "view", "--minify", "--flatten", "-o", "json"))
    document["users"][0]["user"] = {"token": kubectl.run("create", "token", "reader").strip()}
    path = folder / "reader.json"
    path.write_text(json.dumps(document))
    return path


def test_who_may_look_may_pull_and_nothing_else(
    kubectl: Kubectl, hub: Accepted, tmp_path: Path
) -> None:
    path = reader(kubectl, tmp_path)
    atoll = atoll_in(Kubectl(kubectl.program, str(path), kubectl.namespace), tmp_path)
    good(atoll("pull", "digits"))
    good(atoll("status", "digits"))
    good(atoll("logs", "digits", "hub"))
    for words in (("suspend", "digits"), ("status",), ("delete", "digits", "--yes")):
        refused = atoll(*words)
        assert refused.returncode == ExitCode.FINAL
        assert "atoll: the cluster does not allow it" in refused.stderr
        assert len(refused.stderr.splitlines()) == 1


def test_a_hub_that_was_stopped_is_said_to_be(
    kubectl: Kubectl, atoll: Atoll, hub: Accepted
) -> None:
    kubectl.run("scale", "statefulset/digits-hub", "--replicas=0")
    done = atoll("pull", "digits")
    assert done.returncode == ExitCode.FAILED
    assert "its hub was stopped" in done.stderr


def test_logs_and_deletion_without_an_operator(
    kubectl: Kubectl, atoll: Atoll, hub: Accepted, operator_image: str
) -> None:
    kubectl.apply(speaking_pod(operator_image))
    kubectl.until("digits-island-0-x", lambda it: phase(it) == "Succeeded")
    told = good(atoll("logs", "digits", "islands"))
    assert told == "island-0 | one\nisland-0 | \nisland-0 | two\n"
    assert good(atoll("logs", "digits", "island-0")) == "one\n\ntwo\n"
    assert "listens on" in good(atoll("logs", "digits", "hub")).splitlines()[-1]
    assert "With it go its pods, and its hub" in good(atoll("delete", "digits", "--yes"))
    kubectl.run("wait", "--for=delete", "statefulset/digits-hub", "--timeout=60s", timeout=70)
    assert (
        kubectl.run("get", "secrets,configmaps", "-l", "atoll.dev/job=digits", "-o", "name") == ""
    )
