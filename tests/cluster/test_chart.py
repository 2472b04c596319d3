"""An installation on a real cluster: two operators, one leads; tested, changed, removed, made again.

Where `python -m atoll_operator` does not exist yet, a stand-in runs in its place, put there by a
post-renderer: the chart under test is the chart that users get. What it does with a
job waits for the operator.
"""

import importlib.util
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import helm
import pytest
import yaml
from helm import Release
from kubectl import Kubectl

EXISTS = importlib.util.find_spec("atoll_operator.__main__") is not None
STAND_IN = (
    *("--post-renderer", sys.executable),
    *("--post-renderer-args", str(Path(helm.__file__).parent / "put_stand_in.py")),
)
JOB = yaml.safe_load((helm.CHART.parents[1] / "examples/smallest.yaml").read_text())

needs_operator = pytest.mark.skipif(
    not EXISTS, reason="NO OPERATOR: `python -m atoll_operator` does not exist yet"
)


def image(name: str) -> dict[str, str]:
    repository, _, tag = name.rpartition(":")
    return {"repository": repository, "tag": tag}


@pytest.fixture
def values(kubectl: Kubectl, operator_image: str, worker_image: str) -> helm.Values:
    """Of an operator that leaves alone what is not the test's: other namespaces, and a definition
    of TrainingJobs that is there."""
    found = kubectl.tried("get", "customresourcedefinition", "trainingjobs.atoll.dev")
    return {
        "crds": {"install": found.returncode != 0},
        "image": image(operator_image),
        "worker": {"image": image(worker_image)},
        "watchNamespaces": [kubectl.namespace],
    }


@pytest.fixture
def release(kubectl: Kubectl, values: helm.Values) -> Iterator[Release]:
    """An installation whose operators are ready."""
    found = Release(kubectl.kubeconfig, kubectl.namespace)
    install(found, values)
    yield found
    found.tried("uninstall")


def install(release: Release, values: helm.Values) -> None:
    flags = () if EXISTS else STAND_IN
    release.install(values, "--wait", "--timeout", "120s", *flags)


def get(kubectl: Kubectl, *what: str) -> Any:
    return json.loads(kubectl.run("get", *what, "-o", "json"))


def leader(kubectl: Kubectl) -> str:
    holder: str = get(kubectl, "lease", "atoll-operator")["spec"]["holderIdentity"]
    return holder.partition("_")[0]


def until(so: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not so():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def pods(kubectl: Kubectl) -> dict[str, Any]:
    found = get(kubectl, "pods", "-l", "app.kubernetes.io/component=operator")["items"]
    return {it["metadata"]["name"]: it for it in found if "deletionTimestamp" not in it["metadata"]}


def test_two_operators_are_ready_and_one_leads(kubectl: Kubectl, release: Release) -> None:
    """In a namespace that admits none but restricted pods."""
    assert get(kubectl, "deployment", "atoll-operator")["status"]["readyReplicas"] == 2
    assert leader(kubectl) in pods(kubectl)
    until(
        lambda: (
            get(kubectl, "poddisruptionbudget", "atoll-operator")["status"]["disruptionsAllowed"]
            == 1
        )
    )


@pytest.mark.smoke
def test_helm_test_says_that_it_works(kubectl: Kubectl, release: Release) -> None:
    said = release.run("test", "--logs")
    assert "atoll.dev/v1alpha1 is served" in said
    assert f"{leader(kubectl)}" in said
    addresses = sorted(it["status"]["podIP"] for it in pods(kubectl).values())
    assert f"ready: {', '.join(addresses)}" in said
    assert said.count("POD LOGS") == 1
    release.run("test")


def test_who_leads_may_go(kubectl: Kubectl, release: Release) -> None:
    before = leader(kubectl)
    kubectl.run("delete", "pod", before, "--grace-period=1")
    until(lambda: leader(kubectl) != before)
    assert leader(kubectl) in pods(kubectl)


def test_an_upgrade_replaces_both_one_after_the_other(
    kubectl: Kubectl, release: Release, values: helm.Values
) -> None:
    before = set(pods(kubectl))
    install(release, {**values, "podAnnotations": {"changed": "yes"}})
    until(lambda: len(pods(kubectl)) == 2)
    after = pods(kubectl)
    assert not before & set(after)
    assert all(it["metadata"]["annotations"]["changed"] == "yes" for it in after.values())
    until(lambda: leader(kubectl) in after)


def test_it_is_removed_and_installed_again(
    kubectl: Kubectl, release: Release, values: helm.Values
) -> None:
    kubectl.apply({**JOB, "spec": {**JOB["spec"], "suspend": True}})
    release.run("uninstall", "--wait")
    kinds = "deployments,pods,serviceaccounts,roles,rolebindings,networkpolicies"
    of_helm = ("-l", "app.kubernetes.io/managed-by=Helm", "-o", "name")
    until(lambda: not kubectl.run("get", kinds, *of_helm))
    assert get(kubectl, "trainingjob", "smallest")
    install(release, values)
    until(lambda: leader(kubectl) in pods(kubectl))
    release.run("test")


@needs_operator
def test_the_job_of_the_notes_is_run(kubectl: Kubectl, release: Release) -> None:
    kubectl.apply(JOB)
    kubectl.run(
        *("wait", "trainingjob/smallest", "--for=jsonpath={.status.state}=Complete"),
        "--timeout=240s",
        timeout=250,
    )
