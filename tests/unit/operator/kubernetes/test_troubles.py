"""What events say, and until when: messages as Kubernetes 1.34 told them."""

from dataclasses import replace
from typing import Any

import pytest
from cluster_jobs import MERGING, blueprint, jobs
from kube_objects import core_event
from recorded import hub, job, pods

from atoll_operator.kubernetes.api import Json, Key
from atoll_operator.kubernetes.field_selector import fields_match
from atoll_operator.kubernetes.manifests.hub import hub_claim, hub_stateful_set
from atoll_operator.kubernetes.projection import SeenHub, SeenJob, SeenPod, Waiting
from atoll_operator.kubernetes.troubles import SELECTOR, Trouble, holding, project_trouble

POD = "digits-router-jwz2v"
QUOTA = (
    'Error creating: pods "digits-partition-2xf7n" is forbidden: exceeded quota: compute, '
    "requested: pods=1, used: pods=0, limited: pods=0"
)
STANDARDS = (
    'create Pod digits-hub-0 in StatefulSet digits-hub failed error: pods "digits-hub-0" is '
    'forbidden: violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false '
    '(container "atoll" must set securityContext.allowPrivilegeEscalation=false)'
)
NO_MAP = 'MountVolume.SetUp failed for volume "d" : configmap "nope" not found'
NO_SECRET = 'MountVolume.SetUp failed for volume "s" : secret "nope" not found'
ATTACH = (
    'AttachVolume.Attach failed for volume "events-at" : timed out waiting for '
    "external-attacher of events.example.com CSI driver to attach volume x"
)
CLAIMED = ("ProvisioningFailed", "PersistentVolumeClaim", "digits-hub")
CLASS = 'storageclass.storage.k8s.io "events-missing" not found'


def event(reason: str, kind: str, name: str, message: str, second: int = 56) -> Json:
    at = f"2026-11-22T01:23:{second:02}Z"
    key = Key("lab", f"{name}.18ea3982d622d139")
    return core_event(key, kind, uid="u", name=name, reason=reason, message=message, at=at)


def trouble(reason: str, kind: str, name: str, message: str, second: int = 56) -> Trouble:
    seen = project_trouble(event(reason, kind, name, message, second))
    assert seen is not None
    return seen


SAID_OF_QUOTA = (
    "its pod cannot be made: exceeded quota: compute, requested: pods=1, used: pods=0, "
    "limited: pods=0"
)
SAID_OF_STANDARDS = (
    'its pod cannot be made: violates PodSecurity "restricted:latest": allowPrivilegeEscalation '
    '!= false (container "atoll" must set securityContext.allowPrivilegeEscalation=false)'
)
AGAIN = f"(combined from similar events): {QUOTA}"
DENIED = 'Error creating: admission webhook "gate" denied the request: no'
SAID_OF_DENIAL = 'its pod cannot be made: admission webhook "gate" denied the request: no'
UNREAD = (
    'MountVolume.SetUp failed for volume "atoll-job" : failed to sync configmap cache: timed out '
    "waiting for the condition"
)
UNHEARD_OF = 'MountVolume.SetUp failed for volume "d" : object "lab"/"nope" not registered'


@pytest.mark.parametrize(
    ("reason", "kind", "name", "message", "expected"),
    [
        ("FailedCreate", "Job", "digits-partition", QUOTA, SAID_OF_QUOTA),
        ("FailedCreate", "Job", "digits-islands", AGAIN, SAID_OF_QUOTA),
        ("FailedCreate", "StatefulSet", "digits-hub", STANDARDS, SAID_OF_STANDARDS),
        ("FailedCreate", "Job", "digits-island-3", DENIED, SAID_OF_DENIAL),
        ("FailedMount", "Pod", POD, NO_MAP, f"a volume cannot be mounted: {NO_MAP}"),
        ("FailedAttachVolume", "Pod", POD, ATTACH, f"a volume cannot be attached: {ATTACH}"),
        (*CLAIMED, CLASS, f"its volume cannot be had: {CLASS}"),
    ],
)
def test_what_is_said(reason: str, kind: str, name: str, message: str, expected: str) -> None:
    told = event(reason, kind, name, message)
    assert fields_match(SELECTOR, told)
    seen = project_trouble(told)
    assert seen is not None
    assert (seen.namespace, seen.job, seen.kind, seen.name) == ("lab", "digits", kind, name)
    assert seen.message == expected


@pytest.mark.parametrize(
    ("reason", "kind", "name", "message"),
    [
        ("FailedCreate", "ReplicaSet", "digits-hub", QUOTA),
        ("FailedCreate", "Job", "nightly-backup", QUOTA),
        ("FailedMount", "Pod", "shop-frontend-x7k2p", NO_MAP),
        ("BackoffLimitExceeded", "Job", "digits-partition", "Job has reached"),
        ("FailedMount", "Job", "digits-partition", NO_MAP),
        ("FailedMount", "Pod", POD, UNREAD),
        ("FailedMount", "Pod", POD, UNHEARD_OF),
    ],
)
def test_what_is_not_ours_or_passes_by_itself_is_not_kept(
    reason: str, kind: str, name: str, message: str
) -> None:
    assert project_trouble(event(reason, kind, name, message)) is None


@pytest.mark.parametrize(
    "changed",
    [
        {"type": "Normal"},
        {"reason": "BackOff"},
        {"involvedObject": {"kind": "Node", "name": "node1"}},
        {"involvedObject": {"kind": "TrainingJob", "name": "digits"}},
    ],
)
def test_what_the_server_need_not_send(changed: Json) -> None:
    assert not fields_match(SELECTOR, {**event("FailedMount", "Pod", POD, NO_MAP), **changed})


def test_every_object_of_a_job_is_known_by_its_name() -> None:
    storage = {"type": "PersistentVolumeClaim", "persistentVolumeClaim": {"size": "1Gi"}}
    kept = blueprint(artifacts={"storage": storage})
    claim = hub_claim(kept)
    assert claim is not None
    made = [*jobs(blueprint()), *jobs(blueprint(**MERGING)), hub_stateful_set(kept, 1), claim]
    for body in made:
        reason = "ProvisioningFailed" if body["kind"] == claim["kind"] else "FailedCreate"
        assert trouble(reason, body["kind"], body["metadata"]["name"], QUOTA).job == "digits"


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, 56),
        ({"series": {"count": 2, "lastObservedTime": "2026-11-22T01:23:59.000000Z"}}, 59),
        ({"lastTimestamp": None, "eventTime": "2026-11-22T01:23:58.000000Z"}, 58),
        ({"lastTimestamp": None, "metadata": {"creationTimestamp": "2026-11-22T01:23:57Z"}}, 57),
        ({"lastTimestamp": None}, None),
    ],
)
def test_when_it_was_told_last(changed: Json, expected: int | None) -> None:
    seen = project_trouble({**event("FailedMount", "Pod", POD, NO_MAP), **changed})
    assert seen is not None
    minute = trouble("FailedMount", "Pod", POD, NO_MAP, second=0).at
    assert seen.at == (0.0 if expected is None else minute + expected)


def refused(second: int, pods_used: int = 0) -> Trouble:
    message = QUOTA.replace("used: pods=0", f"used: pods={pods_used}")
    return trouble("FailedCreate", "Job", "digits-partition", message, second)


def waiting_job(**more: Any) -> dict[str, SeenJob]:
    seen = replace(job("running"), name="digits-partition", uid="u", **more)
    return {seen.name: seen}


def pod_of(name: str, second: int, **more: Any) -> SeenPod:
    at = refused(second).at
    (seen,) = pods("running")
    return replace(seen, name=name, owner_uid="u", uid=name, created_at=at, **more)


def test_a_job_whose_pod_is_refused_says_so_until_there_is_one() -> None:
    told = [refused(26), refused(58, pods_used=3), refused(42)]
    said = holding(told, waiting_job(), None, ())
    assert said.keys() == {"digits-partition"}
    assert "used: pods=3" in said["digits-partition"], "the newest counts"
    again = pod_of("digits-partition-a", second=40)
    assert holding(told, waiting_job(), None, [again]) == said, "the next one is refused again"
    made = pod_of("digits-partition-b", second=58)
    assert holding(told, waiting_job(), None, [again, made]) == {}


def test_events_of_an_earlier_object_of_that_name_are_not_shown() -> None:
    assert holding([refused(26)], waiting_job(), None, ()) != {}
    earlier = {name: replace(it, uid="another") for name, it in waiting_job().items()}
    assert holding([refused(26)], earlier, None, ()) == {}
    assert holding([refused(26)], {}, None, ()) == {}


def mounting(lacks: Any = "Volumes") -> SeenPod:
    waiting = Waiting("its container is being made", trouble=False, lacks=lacks)
    return replace(pods("volume-missing")[0], name=POD, uid="u", waiting=waiting)


def test_a_pod_says_which_volume_it_lacks_until_it_is_past_mounting() -> None:
    told = [trouble("FailedMount", "Pod", POD, NO_MAP)]
    assert holding(told, {}, None, [mounting()]) == {POD: f"a volume cannot be mounted: {NO_MAP}"}
    for over in (mounting(""), replace(mounting(), uid="v"), replace(mounting(), waiting=None)):
        assert holding(told, {}, None, [over]) == {}


def test_of_several_volumes_the_same_is_named_whichever_was_tried_last() -> None:
    for first, second in ((10, 20), (20, 10), (20, 20)):
        told = [
            trouble("FailedMount", "Pod", POD, NO_SECRET, first),
            trouble("FailedMount", "Pod", POD, NO_MAP, second),
        ]
        assert "configmap" in holding(told, {}, None, [mounting()])[POD]


def test_a_reason_is_told_rather_than_none_unless_it_is_long_over() -> None:
    summary = (
        "Unable to attach or mount volumes: unmounted volumes=[d], unattached volumes=[], failed "
        "to process volumes=[]: context deadline exceeded"
    )
    vague = trouble("FailedMount", "Pod", POD, summary)
    reason = trouble("FailedMount", "Pod", POD, NO_MAP)
    lately = holding([vague, replace(reason, at=vague.at - 120)], {}, None, [mounting()])
    assert "configmap" in lately[POD]
    long_ago = holding([vague, replace(reason, at=vague.at - 600)], {}, None, [mounting()])
    assert "Unable to attach" in long_ago[POD]


def seen_hub(created_second: int = 50) -> SeenHub:
    at = refused(created_second).at
    return replace(hub("hub-ready"), name="digits-hub", uid="u", created_at=at)


def test_a_hub_says_why_it_has_no_pod() -> None:
    told = [trouble("FailedCreate", "StatefulSet", "digits-hub", STANDARDS)]
    assert holding(told, {}, seen_hub(), ())["digits-hub"].startswith("its pod cannot be made: v")
    assert holding(told, {}, None, ()) == {}
    assert holding(told, {}, seen_hub(), [pod_of("digits-hub-0", second=57)]) == {}


def test_a_hub_says_why_it_has_no_volume_while_it_waits_for_one() -> None:
    told = [trouble(*CLAIMED, CLASS)]
    unbound = pod_of("digits-hub-0", second=50, waiting=Waiting("", trouble=True, lacks="Claim"))
    said = {"digits-hub-0": f"its volume cannot be had: {CLASS}"}
    assert holding(told, {}, seen_hub(), [unbound]) == said
    placed = replace(unbound, waiting=Waiting("", trouble=False, lacks="Volumes"))
    assert holding(told, {}, seen_hub(), [placed]) == {}
    assert holding(told, {}, seen_hub(created_second=57), [unbound]) == {}, "an earlier job's"
    assert holding(told, {}, None, [unbound]) == {}
    other = [replace(told[0], name="digits-island-0")]
    assert holding(other, {}, seen_hub(), [unbound]) == {}
