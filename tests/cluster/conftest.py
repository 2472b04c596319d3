"""Tests on a real cluster: the one of `make cluster-up`, or that of KUBECONFIG."""

import os
import shutil
from collections.abc import Iterator, Mapping
from typing import Any
from uuid import uuid4

import helm
import pytest
from atoll_runs import digests, run_to_end
from cluster_machine import Machine
from drawn_seeds import chosen
from helm import Release
from kubectl import Kubectl
from lab import ENSEMBLE

from tools.cluster import places, programs, report
from tools.cluster.addresses import IMAGES
from tools.cluster.places import Places

PLACES = places.find(os.environ)


def reason_to_skip(found: Places) -> str | None:
    """Why there is no cluster to test on."""
    if os.environ.get("KUBECONFIG") or (os.geteuid() == 0 and not report.complaints(found)):
        return None
    return "NO CLUSTER: run `make cluster-up` as root, or set KUBECONFIG"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed_of_cluster" in metafunc.fixturenames:
        module = metafunc.module
        metafunc.parametrize("seed_of_cluster", chosen(metafunc.config, module.SEEDS, module.SHORT))


@pytest.fixture(scope="session")
def cluster() -> Kubectl:
    """The cluster, outside of any namespace of a test."""
    reason = reason_to_skip(PLACES)
    if reason:
        pytest.skip(reason)
    built = programs.built_folder(PLACES.cache) / "kubectl"
    program = shutil.which("kubectl") or str(built)
    return Kubectl(program, os.environ.get("KUBECONFIG", str(PLACES.kubeconfig)), "default")


@pytest.fixture
def kubectl(cluster: Kubectl) -> Iterator[Kubectl]:
    """A namespace for one test, in which only restricted pods are admitted."""
    name = f"test-{uuid4().hex[:8]}"
    cluster.run("create", "namespace", name)
    cluster.run("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
    yield Kubectl(cluster.program, cluster.kubeconfig, name)
    cluster.run("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="session")
def worker_image() -> str:
    return os.environ.get("ATOLL_WORKER_IMAGE", IMAGES["worker"])


@pytest.fixture(scope="session")
def operator_image() -> str:
    return os.environ.get("ATOLL_OPERATOR_IMAGE", IMAGES["operator"])


@pytest.fixture(scope="module")
def lab(cluster: Kubectl, operator_image: str, worker_image: str) -> Iterator[Kubectl]:
    """A namespace with an operator of its own, in which only restricted pods are admitted."""
    name = f"lab-{uuid4().hex[:8]}"
    cluster.run("create", "namespace", name)
    cluster.run("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
    found = Kubectl(cluster.program, cluster.kubeconfig, name)
    release = Release(found.kubeconfig, name)
    values = {
        "image": _image(operator_image),
        "worker": {"image": _image(worker_image)},
        "watchNamespaces": [name],
        "hubPollSeconds": 1,
    }
    release.install(values, "--take-ownership", "--wait", "--timeout", "120s")
    yield found
    found.tried("delete", "trainingjobs", "--all", "--wait=true", timeout=120)
    release.tried("uninstall")
    cluster.run("delete", "namespace", name, "--wait=false")


def _image(name: str) -> helm.Values:
    repository, _, tag = name.rpartition(":")
    return {"repository": repository, "tag": tag, "pullPolicy": "IfNotPresent"}


@pytest.fixture(scope="session")
def machine(cluster: Kubectl) -> Machine:
    """What the cluster runs on, where that is here and ours."""
    ours = cluster.kubeconfig == str(PLACES.kubeconfig)
    if not ours or not os.access(PLACES.audit_log, os.R_OK):
        pytest.skip(
            "NO MACHINE: its processes and its audit log are only at hand after `make cluster-up`"
        )
    return Machine(PLACES)


@pytest.fixture(scope="session")
def ensemble() -> Mapping[str, Any]:
    """A job of two islands that train long enough to be disturbed."""
    return {**ENSEMBLE, "training.steps": 8_000}


@pytest.fixture(scope="session")
def ensemble_digests(
    ensemble: Mapping[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, str]:
    """What it comes to on a laptop, where nobody disturbs it."""
    return digests(run_to_end(tmp_path_factory.mktemp("ensemble"), **ensemble))
