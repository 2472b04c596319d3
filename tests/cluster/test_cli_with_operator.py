"""The command line and an operator: a job from its file to its report."""

import json
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from atoll_on_cluster import Atoll, atoll_in, good, job_file, wait_for
from helm import Release, Values
from kubectl import Kubectl

from atoll_api.exit_codes import ExitCode

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def lab(cluster: Kubectl, operator_image: str, worker_image: str) -> Iterator[Kubectl]:
    """A namespace, and an operator for it: that of the cluster, or one of the chart's."""
    found = Kubectl(cluster.program, cluster.kubeconfig, f"cli-{uuid4().hex[:8]}")
    cluster.run("create", "namespace", found.namespace)
    release = None if is_watched(found) else Release(found.kubeconfig, found.namespace)
    known = cluster.tried("get", "customresourcedefinition", "trainingjobs.atoll.dev")
    values = {
        "crds": {"install": known.returncode != 0},
        "image": image(operator_image),
        "worker": {"image": image(worker_image)},
        "watchNamespaces": [found.namespace],
        "replicas": 1,
        "hubPollSeconds": 1,
    }
    if release:
        release.install(values, "--wait", "--timeout", "120s")
    yield found
    found.tried("delete", "trainingjobs", "--all", "--wait=true", timeout=120)
    if release:
        release.tried("uninstall")
    cluster.run("delete", "namespace", found.namespace, "--wait=false")


def is_watched(kubectl: Kubectl) -> bool:
    """Whether an operator is there already, and ready for this namespace."""
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


def image(name: str) -> Values:
    repository, _, tag = name.rpartition(":")
    return {"repository": repository, "tag": tag, "pullPolicy": "IfNotPresent"}


@pytest.fixture
def atoll(lab: Kubectl, tmp_path: Path) -> Atoll:
    return atoll_in(lab, tmp_path)


def test_from_its_file_to_its_report(atoll: Atoll, tmp_path: Path) -> None:
    told = good(atoll("submit", job_file(tmp_path), "--watch"))
    assert "island-1" in told
    assert "Complete. `atoll report digits" in told
    listed = {line.split()[0] for line in good(atoll("pull", "digits")).splitlines()}
    assert {"experts/0", "experts/1", "page"} <= listed
    assert "FD to train" in good(atoll("report", "digits"))
    assert (tmp_path / "digits-report" / "samples.png").read_bytes().startswith(b"\x89PNG")
    good(atoll("sample", "digits", "-n", "4", "-o", "grid.png"))
    assert (tmp_path / "grid.png").read_bytes().startswith(b"\x89PNG")
    good(atoll("logs", "digits", "islands", "-f"))
    assert "is the same job: it is Complete" in good(atoll("submit", tmp_path / "digits.yaml"))
    good(atoll("delete", "digits", "--yes"))
    assert atoll("status", "digits").returncode == ExitCode.FAILED


def test_stopped_and_going_on(lab: Kubectl, atoll: Atoll, tmp_path: Path) -> None:
    file = job_file(tmp_path, "paused", **{"training.steps": 60_000})
    good(atoll("submit", file))
    wait_for(lab, "trainingjob/paused", "state", "Running")
    good(atoll("suspend", "paused"))
    wait_for(lab, "trainingjob/paused", "state", "Suspended")
    assert "is the same job: it is Suspended" in good(atoll("submit", file))
    good(atoll("resume", "paused"))
    wait_for(lab, "trainingjob/paused", "state", "Running")
    assert "With it go its pods" in good(atoll("delete", "paused", "--yes"))


def test_one_that_fails_ends_with_the_code_of_a_run(atoll: Atoll, tmp_path: Path) -> None:
    file = job_file(tmp_path, "lost", data={"source": "file:///nowhere/data.npz"})
    done = atoll("submit", file, "--watch")
    assert done.returncode == ExitCode.FINAL, done.stdout + done.stderr
    assert "`atoll logs lost" in done.stderr
    assert "/nowhere/data.npz does not exist" in good(atoll("logs", "lost", "partition"))
    assert atoll("report", "lost").returncode == ExitCode.FAILED
