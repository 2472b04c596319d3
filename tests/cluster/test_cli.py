"""The command line on a real cluster: beside a hub that was set up by hand, and with an operator."""

import asyncio
import base64
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import torch
from builders import job_document
from kubectl import Document, Kubectl, phase, python_pod
from safetensors import safe_open

from atoll_api import names
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

PATIENCE_SECONDS = 300.0
NUMBERS = b'{"findings": {}, "run": {}}'
FILES = {"report.html": b"<html>", "report.json": NUMBERS, "samples.png": b"\x89PNG"}
SMALL: dict[str, Any] = {
    "islands.count": 2,
    "training.steps": 300,
    "strategy.expertEnsemble.router.learned.steps": 50,
    "evaluation": {"samples": 64, "seeds": 1, "samplerSteps": 4, "strategies": ["Full"]},
    "template": {"resources": {"requests": {"cpu": "50m"}}},
}

Atoll = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def atoll(kubectl: Kubectl, tmp_path: Path) -> Atoll:
    """A command, in an empty folder and in the namespace of the test."""
    if kubectl.tried("get", "crd", "trainingjobs.atoll.dev").returncode:
        made = subprocess.run(
            [sys.executable, "-m", "atoll_cli", "crd"], capture_output=True, text=True, check=True
        )
        kubectl.run("apply", "-f", "-", stdin=made.stdout)
        kubectl.run("wait", "--for=condition=Established", "crd/trainingjobs.atoll.dev")
    path = os.pathsep.join([str(Path(kubectl.program).parent), os.environ["PATH"]])

    def run(*words: str | Path, **variables: str) -> "subprocess.CompletedProcess[str]":
        where = (f"--kubeconfig={kubectl.kubeconfig}", f"--namespace={kubectl.namespace}")
        return subprocess.run(
            [sys.executable, "-m", "atoll_cli", *map(str, words), *where],
            cwd=tmp_path, env={**os.environ, "PATH": path, **variables}, timeout=PATIENCE_SECONDS,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )  # fmt: skip

    return run


@pytest.fixture
def operator(kubectl: Kubectl, operator_image: str, worker_image: str) -> Iterator[None]:
    """One that runs the jobs of this namespace: that of the cluster, or the chart's."""
    if is_watched(kubectl):
        yield
        return
    helm: Any = pytest.importorskip("helm", reason="NO OPERATOR, and no chart to install it from")
    values = {
        "image": image(operator_image),
        "worker": {"image": image(worker_image)},
        "watchNamespaces": [kubectl.namespace],
        "replicas": 1,
    }
    release = helm.Release(kubectl.kubeconfig, kubectl.namespace)
    release.install(values, "--take-ownership", "--wait", "--timeout", "120s")
    yield
    release.tried("uninstall")


def is_watched(kubectl: Kubectl) -> bool:
    """Whether an operator is there already and ready for this namespace."""
    labels = "app.kubernetes.io/name=atoll,app.kubernetes.io/component=operator"
    found = json.loads(kubectl.run("get", "deployment", "-A", "-l", labels, "-o", "json"))
    for it in found["items"]:
        variables = it["spec"]["template"]["spec"]["containers"][0].get("env", [])
        said = {variable["name"]: variable.get("value", "") for variable in variables}
        watched = [name for name in said.get("ATOLL_NAMESPACES", "").split(",") if name]
        ready = it.get("status", {}).get("readyReplicas", 0)
        if ready and (not watched or kubectl.namespace in watched):
            return True
    return False


def image(name: str) -> dict[str, str]:
    """As the chart's values have it."""
    repository, _, tag = name.rpartition(":")
    return {"repository": repository, "tag": tag}


def job_file(folder: Path, **spec: Any) -> Path:
    path = folder / "job.yaml"
    path.write_text(json.dumps(job_document(**spec)))
    return path


def wait_for(kubectl: Kubectl, state: str) -> None:
    wanted = f"--for=jsonpath={{.status.state}}={state}"
    kubectl.run("wait", wanted, "trainingjob/digits", "--timeout=120s", timeout=130)


def good(done: "subprocess.CompletedProcess[str]") -> str:
    assert done.returncode == ExitCode.OK, done.stdout + done.stderr
    return done.stdout


async def _accept(kubectl: Kubectl, view: JobView, settings: OperatorSettings) -> Accepted:
    made = Authority(None, datetime.now(UTC))
    operator = OperatorAuthority(made.certificate, made.private_pem())
    async with ApiServer(await read_configuration(Path(kubectl.kubeconfig))) as api:
        return await accept(api, view.parse(), view, settings, operator)


@pytest.fixture
def hub(kubectl: Kubectl, atoll: Atoll, tmp_path: Path, worker_image: str) -> Accepted:
    """A job whose hub runs, and that no operator looks at."""
    good(atoll("submit", job_file(tmp_path, managedBy="example.org/nobody", **SMALL)))
    view = view_of(json.loads(kubectl.run("get", "trainingjob", "digits", "-o", "json")))
    settings = OperatorSettings(
        worker_image, "nobody", "nobody-0", {"app": "nobody"}, image_pull_policy="IfNotPresent"
    )
    accepted = asyncio.run(_accept(kubectl, view, settings))
    kubectl.apply(*surroundings(blueprint_of(accepted.resolved, view, settings)))
    ready = "--for=jsonpath={.status.readyReplicas}=1"
    kubectl.run("wait", ready, "statefulset/digits-hub", "--timeout=60s", timeout=70)
    return accepted


@contextmanager
def evaluation(kubectl: Kubectl, accepted: Accepted) -> Iterator[ExchangeClient]:
    """The exchange, as whoever publishes the report."""
    resolved = accepted.resolved
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
    assert good(atoll("logs", "digits", "hub")) == ""
    assert "With it go its pods, and its hub" in good(atoll("delete", "digits", "--yes"))
    kubectl.run("wait", "--for=delete", "statefulset/digits-hub", "--timeout=60s", timeout=70)
    assert (
        kubectl.run("get", "secrets,configmaps", "-l", "atoll.dev/job=digits", "-o", "name") == ""
    )


def test_a_job_from_its_file_to_its_report(operator: None, atoll: Atoll, tmp_path: Path) -> None:
    told = good(atoll("submit", job_file(tmp_path, **SMALL), "--watch"))
    assert "island-1" in told
    assert "Complete. `atoll report digits" in told
    assert " Complete " in good(atoll("status"))
    assert {"experts/0", "experts/1", "page"} <= {
        line.split()[0] for line in good(atoll("pull", "digits")).splitlines()
    }
    assert "FD to train" in good(atoll("report", "digits"))
    assert (tmp_path / "digits-report" / "samples.png").read_bytes().startswith(b"\x89PNG")
    assert "FD to train" in good(atoll("report", tmp_path / "digits-report"))
    good(atoll("sample", "digits", "-n", "4", "-o", "grid.png"))
    assert (tmp_path / "grid.png").exists()
    assert "island-0" in good(atoll("logs", "digits", "-f"))
    again = good(atoll("submit", tmp_path / "job.yaml"))
    assert "is the same job: it is Complete" in again
    good(atoll("delete", "digits", "--yes"))
    assert atoll("status", "digits").returncode == ExitCode.FAILED


def test_a_job_is_stopped_and_goes_on(
    operator: None, kubectl: Kubectl, atoll: Atoll, tmp_path: Path
) -> None:
    good(atoll("submit", job_file(tmp_path, **(SMALL | {"training.steps": 20_000}))))
    wait_for(kubectl, "Running")
    good(atoll("suspend", "digits"))
    wait_for(kubectl, "Suspended")
    assert "is the same job: it is Suspended" in good(atoll("submit", tmp_path / "job.yaml"))
    good(atoll("resume", "digits"))
    wait_for(kubectl, "Running")
    good(atoll("delete", "digits", "--yes"))


def test_a_job_that_fails_ends_with_its_code(operator: None, atoll: Atoll, tmp_path: Path) -> None:
    source = {"source": "file:///nowhere/data.npz"}
    done = atoll("submit", job_file(tmp_path, **(SMALL | {"data": source})), "--watch")
    assert done.returncode == ExitCode.FINAL
    assert "`atoll logs digits" in done.stderr
    assert "does not exist" in good(atoll("logs", "digits", "partition"))
