"""Operators and an API server that are killed, doubled or robbed of their lease: nothing is made twice."""

import json
import signal
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from cluster_machine import AuditLog, Machine, Request, made
from kubectl import Kubectl
from lab import ENSEMBLE, bound, in_state, jobs_of, runs, submit, until

pytestmark = pytest.mark.timeout(600)

OPERATOR = "atoll-operator"
"""The name of its Deployment, its account and its lease."""
RIVAL = "rival"
MANY: Mapping[str, Any] = {**ENSEMBLE, "islands.count": 4, "training.steps": 20}
ON_THE_WIRE_SECONDS = 1.0
"""What a process has sent that is killed arrives within that."""


def get(lab: Kubectl, *what: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(lab.run("get", *what, "-o", "json"))
    return found


def lease_seconds(lab: Kubectl) -> int:
    return int(get(lab, "lease", OPERATOR)["spec"]["leaseDurationSeconds"])


def operators(lab: Kubectl, machine: Machine) -> dict[str, list[int]]:
    """The processes of each operator that is ready, by the name of its pod."""
    lab.run("rollout", "status", f"deployment/{OPERATOR}", "--timeout=60s", timeout=70)
    pods = get(lab, "pods", "-l", "app.kubernetes.io/component=operator")["items"]
    uids = {it["metadata"]["name"]: it["metadata"]["uid"] for it in pods}
    return {name: machine.processes_of(uid, "atoll_operator") for name, uid in uids.items()}


def works(request: Request) -> bool:
    """Whether an operator has changed something of a job."""
    return request.user.endswith(f":{OPERATOR}") and request.changed and not leads(request)


def leads(request: Request) -> bool:
    """Whether an operator has taken the lease, or renewed it."""
    return request.changed and request.resource == "leases"


def makes(resource: str, prefix: str) -> Callable[[Request], bool]:
    def so(it: Request) -> bool:
        return works(it) and it.verb == "create" and it.path.startswith(f"{resource}/{prefix}")

    return so


def later(so: Callable[[Request], bool], at: float) -> Callable[[Request], bool]:
    """Of a process that lives, after another has been killed or stopped."""
    return lambda it: so(it) and it.at > at + ON_THE_WIRE_SECONDS


def assert_made_once(requests: AuditLog, name: str) -> None:
    """Each object of a job."""
    found = made(requests, name)
    assert f"jobs/{name}-evaluate" in found
    assert {it for it, times in found.items() if times > 1} == set()


def test_a_leader_that_is_killed_while_it_makes_things_is_followed(
    lab: Kubectl, machine: Machine
) -> None:
    """Once between the certificates and the ConfigMap that names them, and once among islands."""
    requests = machine.audit(lab.namespace)
    duration, found = lease_seconds(lab), operators(lab, machine)
    requests.first(leads)
    submit(lab, "many", **MANY)
    for moment in (makes("secrets", "many-identity"), makes("jobs", "many-island")):
        leader = requests.first(moment).pod
        killed_at = machine.signal(found[leader], signal.SIGKILL)
        taken = requests.first(later(leads, killed_at))
        follows = requests.first(later(works, killed_at))
        renewed = max(it.at for it in requests if leads(it) and it.at < taken.at)
        print(  # noqa: T201 - a figure to report
            f"killed; the lease was taken after {taken.at - killed_at:.1f} s, "
            f"the next leader's first change came after {follows.at - killed_at:.1f} s"
        )
        assert taken.at - renewed >= duration, "two might have led"
        assert follows.at - killed_at <= 2 * duration
        found = operators(lab, machine)
    until(lab, "many", in_state("Complete"), 300)
    assert_made_once(requests, "many")
    lab.run("delete", "trainingjob", "many")


def test_a_leader_that_wakes_up_when_another_leads_changes_nothing(
    lab: Kubectl, machine: Machine
) -> None:
    requests, found = machine.audit(lab.namespace), operators(lab, machine)
    submit(lab, "asleep", **MANY)
    leader = requests.first(makes("jobs", "asleep-island")).pod
    stopped_at = machine.signal(found[leader], signal.SIGSTOP)
    try:
        taken = requests.first(later(leads, stopped_at))
        requests.first(later(works, stopped_at))
    finally:
        woken_at = machine.signal(found[leader], signal.SIGCONT)
    assert taken.pod != leader
    lab.until(leader, lambda it: it["status"]["containerStatuses"][0]["restartCount"] > 0)
    until(lab, "asleep", in_state("Complete"), 300)
    # Too late for its lease, it may end without a word; what is started in its place looks.
    requests.first(lambda it: it.pod == leader and it.at > woken_at)
    own = [it for it in requests if it.pod == leader and it.at > woken_at]
    assert [it for it in own if it.changed] == []
    assert_made_once(requests, "asleep")
    lab.run("delete", "trainingjob", "asleep")


def test_a_lease_that_is_deleted_under_its_leader_is_made_again(
    lab: Kubectl, machine: Machine, ensemble: Mapping[str, Any], ensemble_digests: Mapping[str, str]
) -> None:
    requests, duration = machine.audit(lab.namespace), lease_seconds(lab)
    submit(lab, "robbed", **ensemble)
    until(lab, "robbed", runs(0), 180)
    lab.run("delete", "lease", OPERATOR)
    taken = requests.first(lambda it: leads(it) and it.verb == "create")
    status = until(lab, "robbed", in_state("Complete"), 300)
    since = [it for it in requests if works(it) and it.at > taken.at + duration]
    assert {it.pod for it in since} == {taken.pod}, "the one that was robbed has noticed"
    assert bound(status).items() <= ensemble_digests.items()
    assert_made_once(requests, "robbed")
    lab.run("delete", "trainingjob", "robbed")


@pytest.fixture
def rival(lab: Kubectl) -> Iterator[None]:
    """One more operator, with a lease of its own: it leads too."""
    deployment = get(lab, "deployment", OPERATOR)
    spec, labels = deployment["spec"], {"app.kubernetes.io/instance": RIVAL}
    (container,) = spec["template"]["spec"]["containers"]
    next(it for it in container["env"] if it["name"] == "ATOLL_LEASE")["value"] = RIVAL
    spec["selector"]["matchLabels"] |= labels
    spec["template"]["metadata"]["labels"] |= labels
    spec["replicas"] = 1
    may = ("--verb=get,update", "--resource=leases", f"--resource-name={RIVAL}")
    lab.run("create", "role", RIVAL, *may)
    who = (f"--role={RIVAL}", f"--serviceaccount={lab.namespace}:{OPERATOR}")
    lab.run("create", "rolebinding", RIVAL, *who)
    lab.apply({**deployment, "metadata": {"name": RIVAL}, "spec": spec})
    lab.run("wait", f"lease/{RIVAL}", "--for=create", "--timeout=60s", timeout=70)
    yield
    lab.run("delete", "deployment,lease,role,rolebinding", RIVAL)


@pytest.mark.usefixtures("rival")
def test_two_that_lead_at_once_do_nothing_twice(
    lab: Kubectl, machine: Machine, ensemble: Mapping[str, Any], ensemble_digests: Mapping[str, str]
) -> None:
    requests = machine.audit(lab.namespace)
    submit(lab, "rivals", **ensemble)
    status = until(lab, "rivals", in_state("Complete"), 300)
    assert len({it.pod for it in requests if works(it)}) == 2, "only one of them worked"
    assert bound(status).items() <= ensemble_digests.items()
    assert {it["restarts"] for it in status["islands"]} == {0}
    assert_made_once(requests, "rivals")
    lab.run("delete", "trainingjob", "rivals")


def test_an_api_server_that_is_killed_while_islands_are_made(
    lab: Kubectl, machine: Machine, ensemble: Mapping[str, Any], ensemble_digests: Mapping[str, str]
) -> None:
    """The last of all: nobody else on the cluster is answered for these seconds."""
    requests = machine.audit(lab.namespace)
    submit(lab, "unheard", **ensemble)
    requests.first(makes("jobs", "unheard-island"), 120)
    print(f"the API server was away for {machine.restart_api_server():.1f} s")  # noqa: T201 - a figure
    before = jobs_of(lab, "unheard")
    status = until(lab, "unheard", in_state("Complete"), 300)
    assert before.items() <= jobs_of(lab, "unheard").items()
    assert bound(status).items() <= ensemble_digests.items()
    assert {it["restarts"] for it in status["islands"]} == {0}
    assert_made_once(requests, "unheard")
    lab.run("delete", "trainingjob", "unheard")
