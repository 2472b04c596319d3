"""What the operator of a release may do, as the API server sees it: each right, and no other."""

import json
import time
from collections.abc import Iterator

import pytest
from helm import CHART, IMAGES, Release
from kubectl import Kubectl
from operator_rights import FOR_JOBS, Right, for_itself, questions

BARE = {**IMAGES, "replicas": 0, "crds": {"install": False}}


@pytest.fixture
def release(kubectl: Kubectl) -> Iterator[Release]:
    """Named as its namespace: roles of the cluster are one for each name."""
    found = Release(kubectl.kubeconfig, kubectl.namespace, f"{kubectl.namespace}-atoll")
    yield found
    found.run("uninstall")


def operator_of(release: Release) -> str:
    return f"{release.name}-operator"


def allowed(kubectl: Kubectl, release: Release, namespace: str) -> set[Right]:
    """Those of the questions that are answered with yes in a namespace."""
    asked = sorted(questions(operator_of(release)))
    reviews = [review(namespace, *right) for right in asked]
    said = kubectl.run(
        *("create", "-f", "-", "-o", 'jsonpath={.status.allowed}{"\\n"}'),
        f"--as=system:serviceaccount:{release.namespace}:{operator_of(release)}",
        stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": reviews}),
        timeout=120,
    )
    answers = said.split()
    assert len(answers) == len(asked) > 300
    assert set(answers) <= {"true", "false"}
    return {right for right, answer in zip(asked, answers, strict=True) if answer == "true"}


def review(namespace: str, group: str, resource: str, name: str, verb: str) -> dict[str, object]:
    """What `kubectl auth can-i` sends."""
    kind, _, part = resource.partition("/")
    attributes = {"namespace": namespace, "group": group, "resource": kind, "verb": verb}
    named = {"name": name, "subresource": part}
    return {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes | {k: it for k, it in named.items() if it}},
    }


def within(expected: set[Right], operator: str) -> set[Right]:
    """A right to a kind is one to each name of it."""
    return {
        right
        for right in questions(operator)
        if right in expected or (*right[:2], "", right[3]) in expected
    }


def test_in_all_namespaces(kubectl: Kubectl, release: Release) -> None:
    release.run("install", str(CHART), values=BARE)
    operator = operator_of(release)
    everywhere = within(FOR_JOBS, operator)
    assert allowed(kubectl, release, "default") == everywhere
    assert allowed(kubectl, release, "") == everywhere
    at_home = within(FOR_JOBS | for_itself(operator), operator)
    assert allowed(kubectl, release, release.namespace) == at_home


def test_in_some_namespaces(kubectl: Kubectl, release: Release) -> None:
    other = f"{kubectl.namespace}-jobs"
    kubectl.run("create", "namespace", other)
    try:
        release.run("install", str(CHART), values={**BARE, "watchNamespaces": [other]})
        operator = operator_of(release)
        assert allowed(kubectl, release, other) == within(FOR_JOBS, operator)
        at_home = within(for_itself(operator), operator)
        assert allowed(kubectl, release, release.namespace) == at_home
        assert allowed(kubectl, release, "default") == set()
        assert allowed(kubectl, release, "") == set()
    finally:
        kubectl.run("delete", "namespace", other, "--wait=false")


def test_as_a_person_would_ask(kubectl: Kubectl, release: Release) -> None:
    release.run("install", str(CHART), values=BARE)
    who = f"--as=system:serviceaccount:{release.namespace}:{operator_of(release)}"
    for words, answer in (
        ("create jobs.batch", "yes"),
        ("create secrets", "yes"),
        ("get secrets", "no"),
        ("list secrets", "no"),
        ("create pods", "no"),
        ("patch trainingjobs.atoll.dev", "no"),
        ("patch trainingjobs.atoll.dev --subresource=status", "yes"),
        ("get namespaces", "no"),
    ):
        done = kubectl.tried("auth", "can-i", *words.split(), "-n", "default", who)
        assert done.stdout.strip() == answer, words


@pytest.mark.parametrize(
    ("rank", "may", "may_not"),
    [
        ("view", "list", "create"),
        ("edit", "create", "impersonate"),
        ("admin", "delete", "escalate"),
    ],
)
def test_users_of_a_namespace(
    kubectl: Kubectl, release: Release, rank: str, may: str, may_not: str
) -> None:
    release.run("install", str(CHART), values=BARE)
    person = f"somebody-{rank}"
    kubectl.run("create", "rolebinding", person, f"--clusterrole={rank}", f"--user={person}")
    deadline = time.monotonic() + 30  # until the controller has added up the rank
    while not can(kubectl, person, may):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert not can(kubectl, person, may_not)
    assert not can(kubectl, person, "patch", "--subresource=status")


def can(kubectl: Kubectl, person: str, verb: str, *more: str) -> bool:
    asked = ("auth", "can-i", verb, "trainingjobs.atoll.dev", *more, f"--as={person}")
    return kubectl.tried(*asked).stdout.strip() == "yes"
