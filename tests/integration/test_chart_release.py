"""Releases of the chart on a real API server: what comes, what follows an upgrade, what stays.

On a server of its own: the definition of TrainingJobs is one for a cluster.
"""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from helm import CHART, IMAGES, Release
from kube_api_server import KubeApiServer, find_binaries
from kubectl import Kubectl

from atoll_api.crd import custom_resource_definition

DEFINITION = ("customresourcedefinition", "trainingjobs.atoll.dev")
JOB = yaml.safe_load((CHART.parents[1] / "examples/smallest.yaml").read_text())
OWNED = (
    "serviceaccounts,deployments,poddisruptionbudgets,networkpolicies,roles,rolebindings,secrets,"
    "services,pods,clusterroles,clusterrolebindings"
)


@pytest.fixture
def kubectl() -> Iterator[Kubectl]:
    """A cluster on which there was never anything, with the namespaces `a` and `b`."""
    binaries = find_binaries()
    program = shutil.which("kubectl") or (binaries and binaries.etcd.parent / "kubectl")
    if binaries is None or program is None:
        pytest.skip("no API server: etcd, kube-apiserver or kubectl is not there")
    server = KubeApiServer(binaries)
    found = Kubectl(str(program), str(server.kubeconfig), "a")
    for name in ("a", "b"):
        found.run("create", "namespace", name)
    yield found
    server.kill()


def release(kubectl: Kubectl, namespace: str = "a", name: str = "atoll") -> Release:
    return Release(kubectl.kubeconfig, namespace, name)


def left(kubectl: Kubectl, namespace: str = "a") -> list[str]:
    """What there is of any release."""
    of_helm = ("-l", "app.kubernetes.io/managed-by=Helm", "-o", "name")
    return kubectl.run("get", OWNED, "-n", namespace, *of_helm).split()


def columns(kubectl: Kubectl) -> list[str]:
    path = "{.spec.versions[0].additionalPrinterColumns[*].name}"
    return kubectl.run("get", *DEFINITION, "-o", f"jsonpath={path}").split()


def older_chart(folder: Path) -> Path:
    """One whose definition lacks the last column."""
    shutil.copytree(CHART, folder / "atoll")
    definition = custom_resource_definition()
    definition["spec"]["versions"][0]["additionalPrinterColumns"].pop()
    path = folder / "atoll/files/trainingjobs.atoll.dev.yaml"
    path.write_text(yaml.safe_dump(definition, sort_keys=False))
    return folder / "atoll"


def commands_of_old(release: Release) -> list[list[str]]:
    """What docs/install.md says to do without --take-ownership."""
    page = (CHART.parents[1] / "docs/install.md").read_text().replace("\\\n", "")
    lines = re.findall(r"^kubectl ((?:annotate|label) crd .*)$", page, re.MULTILINE)
    assert len(lines) == 2
    named = f"release-namespace={release.namespace}"
    return [line.replace("release-namespace=atoll-system", named).split() for line in lines]


def define_jobs(kubectl: Kubectl) -> None:
    kubectl.run("wait", "--for=condition=Established", "/".join(DEFINITION), "--timeout=30s")
    kubectl.apply(JOB)


def test_the_definition_follows_an_upgrade_and_outlives_its_release(
    kubectl: Kubectl, tmp_path: Path
) -> None:
    it = release(kubectl)
    it.install(IMAGES, chart=older_chart(tmp_path))
    define_jobs(kubectl)
    before = columns(kubectl)

    it.install(IMAGES)
    assert columns(kubectl) == [*before, "Hub"]
    assert "clusterrole.rbac.authorization.k8s.io/atoll-operator" in left(kubectl)

    said = it.run("uninstall")
    assert "[CustomResourceDefinition] trainingjobs.atoll.dev" in said
    assert left(kubectl) == []
    assert kubectl.run("get", "trainingjobs", "-o", "name").split() == [
        "trainingjob.atoll.dev/smallest"
    ]

    other = release(kubectl, "b")
    refused = other.tried("install", str(CHART), values=IMAGES)
    assert refused.returncode != 0
    assert 'CustomResourceDefinition "trainingjobs.atoll.dev"' in refused.stderr
    for command in commands_of_old(other):
        kubectl.run(*command)
    other.install(IMAGES)
    assert kubectl.run("get", "trainingjobs", "-o", "name")


def test_where_it_was_it_is_installed_again_without_a_word(kubectl: Kubectl) -> None:
    it = release(kubectl)
    for _ in range(2):
        it.run("install", str(CHART), values=IMAGES)
        it.run("uninstall")
    assert columns(kubectl)


def test_a_definition_that_is_not_kept_goes_with_all_jobs(kubectl: Kubectl) -> None:
    it = release(kubectl)
    it.install({**IMAGES, "crds": {"keep": False}})
    define_jobs(kubectl)
    it.run("uninstall", "--wait")
    assert kubectl.tried("get", *DEFINITION).returncode != 0


def test_a_release_may_let_go_of_the_definition(kubectl: Kubectl) -> None:
    it = release(kubectl)
    it.install(IMAGES)
    it.install({**IMAGES, "crds": {"install": False}})
    assert columns(kubectl)


def test_a_definition_made_by_hand_is_taken_over(kubectl: Kubectl) -> None:
    kubectl.apply(custom_resource_definition())
    it = release(kubectl)
    refused = it.tried("install", str(CHART), values=IMAGES)
    assert "invalid ownership metadata" in refused.stderr
    done = it.tried("install", str(CHART), "--take-ownership", values=IMAGES)
    if "unknown flag" in done.stderr:
        pytest.skip("this helm is older than 3.17")
    assert done.returncode == 0, done.stderr
    it.install(IMAGES)  # the release is its owner now


def test_notes_say_where_jobs_are_run(kubectl: Kubectl) -> None:
    said = release(kubectl).install({**IMAGES, "watchNamespaces": ["b"]})
    assert "runs TrainingJobs in b." in said
    assert "kubectl -n b apply -f -" in said
    assert "--take-ownership" in said
    job = said[said.index("<<END\n") + 6 : said.index("  END\n")]
    assert yaml.safe_load(job) == JOB
