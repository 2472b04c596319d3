"""What a template and the network of a job may not say, and what is told instead."""

from typing import Any

import pytest
from builders import FULL_TEMPLATE, job_document, make_job

from atoll_api import rules
from atoll_api.problems import InvalidJobError, parse_job, warnings
from atoll_api.spec import TrainingJob


def told(**spec: Any) -> list[str]:
    with pytest.raises(InvalidJobError) as caught:
        parse_job(job_document(**spec))
    return [str(problem) for problem in caught.value.problems]


def one_problem(**spec: Any) -> str:
    (problem,) = told(**spec)
    return problem


def variable(name: str, **fields: Any) -> dict[str, Any]:
    return {"env": [{"name": name, **(fields or {"value": "x"})}]}


def volume(path: str = "/data", name: str = "data", **fields: Any) -> dict[str, Any]:
    return {"volumes": [{"name": name, "mountPath": path, **(fields or {"emptyDir": {}})}]}


def resources(requests: dict[str, Any], limits: dict[str, Any]) -> dict[str, Any]:
    return {"resources": {"requests": requests, "limits": limits}}


def test_every_field_is_accepted_in_every_place_and_comes_back() -> None:
    job = make_job(
        **{
            "template": FULL_TEMPLATE,
            "roles": [{"role": "hub", "template": FULL_TEMPLATE}],
            "islands.template": FULL_TEMPLATE,
            "islands.overrides": [{"island": 0, "template": FULL_TEMPLATE}],
        }
    )
    assert parse_job(job.to_document()) == job
    said = job.to_document()["spec"]["template"]
    assert said.keys() == FULL_TEMPLATE.keys()
    assert said["resources"]["limits"] == {"cpu": "2", "memory": "2Gi", "nvidia.com/gpu": "1"}


REFERENCE = {"secretKeyRef": {"name": "s", "key": "k"}}
BAD = [
    (variable("ATOLL_STEP"), "env[0].name: ATOLL_STEP is reserved (choose another name)"),
    (variable("JOB_COMPLETION_INDEX"), "env[0].name: JOB_COMPLETION_INDEX is reserved"),
    (
        variable("OMP_NUM_THREADS"),
        "env[0].name: OMP_NUM_THREADS is a part of the result, and follows islands.threads",
    ),
    (variable("A B"), "env[0].name: 'A B' is not accepted (must match ^[A-Za-z_]"),
    (variable("A", valueFrom=None), "env[0]: A has neither of value and valueFrom (say one)"),
    (variable("A", value="x", valueFrom=REFERENCE), "env[0]: A has both value and valueFrom"),
    (
        variable("A", valueFrom={}),
        "env[0].valueFrom: has neither of secretKeyRef and configMapKeyRef (say one)",
    ),
    (
        variable("SITE", value="s-{island}"),
        "env[0].value: names {island}, but not all of its pods are islands (say it in islands.t",
    ),
    ({"env": [{"name": "A", "value": "1"}] * 2}, "env[1].name: A stands twice (name each once)"),
    ({"imagePullSecrets": [{"name": "a"}] * 2}, "imagePullSecrets[1].name: a stands twice"),
    (volume(name="Data"), "volumes[0].name: 'Data' is not accepted"),
    (volume(name="atoll-job"), "volumes[0].name: atoll-job is reserved (choose one that does not"),
    (volume("data"), "volumes[0].mountPath: 'data' is not accepted"),
    (volume("/data/../etc/atoll"), "volumes[0].mountPath: /data/../etc/atoll has a .."),
    (
        volume("/etc/atoll/job"),
        "volumes[0].mountPath: /etc/atoll/job would hide /etc/atoll, which Atoll needs",
    ),
    (volume("/etc/"), "volumes[0].mountPath: /etc/ would hide /etc/atoll"),
    (volume("/scratch/mine"), "volumes[0].mountPath: /scratch/mine would hide /scratch"),
    (volume("/var/lib"), "volumes[0].mountPath: /var/lib would hide /var/lib/atoll"),
    (volume(subPath="a/../..", emptyDir={}), "volumes[0].subPath: a/../.. has a .."),
    (volume(readOnly=True), "volumes[0]: data has 0 sources (say one of emptyDir, persistentVol"),
    (volume(emptyDir={}, configMap={"name": "c"}), "volumes[0]: data has 2 sources"),
    (
        volume(emptyDir={}, hostPath={"path": "/"}),
        "volumes[0].hostPath: unknown key; accepted here: name,",
    ),
    (
        {"volumes": volume()["volumes"] + volume("/data/", "more")["volumes"]},
        "volumes: data and more are both mounted at /data (mount one of them elsewhere)",
    ),
    ({"labels": {"atoll.dev/job": "x"}}, "labels.atoll.dev/job: is reserved (choose another key)"),
    ({"labels": {"app.kubernetes.io/name": "x"}}, "labels.app.kubernetes.io/name: is reserved"),
    ({"labels": {"job-name": "x"}}, "labels.job-name: is reserved"),
    ({"annotations": {"x.atoll.dev/y": "x"}}, "annotations.x.atoll.dev/y: is reserved"),
    ({"labels": {"a": "no spaces"}}, "labels.a: 'no spaces' is not accepted"),
    (
        resources({"memory": "2Gi"}, {"memory": "1.5Gi"}),
        "resources.requests.memory: 2Gi is more than the limit of 1.5Gi (say 1.5Gi or less)",
    ),
    (
        resources({"memory": "4GB"}, {}),
        "resources.requests.memory: '4GB' is not accepted (say a number and, for bytes, Mi or Gi",
    ),
    (resources({"cpu": 0.5}, {}), "resources.requests.cpu: 0.5: should be a valid string"),
    (
        resources({"cpu": 2**63}, {}),
        "resources.requests.cpu: 9223372036854775808: should be a valid string",
    ),
    (
        resources({}, {"gpu": 1}),
        "resources.limits.gpu: is no resource of Kubernetes' own (say cpu, memory, ephemeral-stor",
    ),
    (resources({}, {"-": 1}), "resources.limits.-: '-' is not accepted (letters, digits, '-'"),
    ({"nodeSelector": {"a b": "c"}}, "nodeSelector['a b']: 'a b' is not accepted (letters, digi"),
    (
        resources({"nvidia.com/gpu": 1}, {}),
        "resources.limits.nvidia.com/gpu: is missing: of nvidia.com/gpu a pod has what it may have",
    ),
    (
        resources({"nvidia.com/gpu": 1}, {"nvidia.com/gpu": 2}),
        "resources.requests.nvidia.com/gpu: 1 is less than the limit of 2, and nvidia.com/gpu is",
    ),
    (
        resources({}, {"nvidia.com/gpu": "0.5"}),
        "resources.limits.nvidia.com/gpu: 0.5 is no whole number of nvidia.com/gpu (say 1 or more)",
    ),
    (
        {"tolerations": [{"effect": "NoSchedule"}]},
        "tolerations[0].key: is needed where operator is not Exists (say key, or operator: Exists",
    ),
    (
        {"tolerations": [{"key": "a", "operator": "Exists", "value": "b"}]},
        "tolerations[0].value: has no meaning with operator Exists (leave it out)",
    ),
    (
        {"tolerations": [{"key": "a", "effect": "NoSchedule", "tolerationSeconds": 9}]},
        "tolerations[0].effect: tolerationSeconds are of NoExecute alone (say NoExecute)",
    ),
    (
        {"tolerations": [{"key": "a b"}]},
        "tolerations[0].key: 'a b' is not accepted (letters, digits",
    ),
    ({"runtimeClassName": "a..b"}, "runtimeClassName: 'a..b' is not accepted (lower-case letters"),
    (resources({"cpu": True}, {}), "resources.requests.cpu: True: should be a valid string"),
    ({"securityContext": {"runAsUser": 0}}, "securityContext.runAsUser: 0: should be greater"),
    ({"hostNetwork": True}, "hostNetwork: unknown key; accepted here: image,"),
    ({"image": "a b"}, "image: 'a b' is not accepted"),
]


@pytest.mark.parametrize(("template", "expected"), BAD)
def test_one_problem_with_its_path(template: dict[str, Any], expected: str) -> None:
    assert f"spec.template.{expected}" in one_problem(template=template)


def test_a_domain_has_an_end() -> None:
    key = f"{'a' * 254}/b"
    problem = one_problem(template={"nodeSelector": {key: "c"}})
    assert problem.endswith(": what is before the / should have at most 253 characters")


@pytest.mark.parametrize("name", ["ATOLL", "atoll_x", "MALLOC_ARENA_MAX", "HOME"])
def test_other_variables_are_free(name: str) -> None:
    make_job(template=variable(name))


def test_an_island_may_be_named_where_all_pods_are_islands() -> None:
    site = variable("SITE", value="s-{island}")
    make_job(
        **{
            "islands.template": site,
            "roles": [{"role": "island", "template": site}],
            "islands.overrides": [{"island": 1, "template": site}],
        }
    )
    other = one_problem(roles=[{"role": "hub", "template": site}])
    assert other.startswith("spec.roles[0].template.env[0].value: names {island}")


def test_a_clash_of_layers_is_told_once_and_where_it_arises() -> None:
    found = told(
        **{
            "template": {
                **volume("/data", "one"),
                "resources": {"requests": {"cpu": 4}},
            },
            "roles": [
                {"role": "hub", "template": volume("/data", "two")},
                {"role": "router", "template": {"resources": {"limits": {"cpu": 2}}}},
            ],
            "islands.overrides": [{"island": 1, "template": volume("/data/", "mine")}],
        }
    )
    assert [line.partition(": ")[0] for line in found] == [
        "spec.roles[0].template.volumes",
        "spec.roles[1].template.resources.requests.cpu",
        "spec.islands.overrides[0].template.volumes",
    ]


def test_a_role_stands_once_and_is_one() -> None:
    hub = {"role": "hub", "template": {}}
    assert one_problem(roles=[hub, hub]) == "spec.roles[1].role: hub stands twice (name each once)"
    assert "accepted: hub, partition" in one_problem(roles=[{"role": "leader", "template": {}}])


MERGING = {"task": {"type": "Classification"}, "strategy": {"type": "IterativeMerge"}}
TEXT = {"task": {"type": "Language"}, "data.source": "builtin://python-stdlib"}


@pytest.mark.parametrize(
    ("role", "spec", "expected"),
    [
        ("router", MERGING, "this job of IterativeMerge has no router (leave it out)"),
        ("seed", MERGING, "this job of IterativeMerge has no seed (leave it out)"),
        ("merge", {}, "this job of ExpertEnsemble has no merge (leave it out)"),
        ("seed", {}, "has no seed (say expertEnsemble: {seedSteps: ...}, or leave it out)"),
        ("baseline", {}, "has no baseline (say baseline: {enabled: true}, or leave it out)"),
        ("router", TEXT, "has no router (leave it out: only a Learned router has a pod)"),
    ],
)
def test_a_role_without_pods_is_told(role: str, spec: dict[str, Any], expected: str) -> None:
    problem = one_problem(**spec, roles=[{"role": role, "template": {}}])
    assert problem.startswith("spec.roles[0].role: ")
    assert expected in problem


BUCKET = {"artifacts.storage": {"type": "ObjectStore", "objectStore": {"url": "s3://bucket"}}}


@pytest.mark.parametrize(
    ("network", "walled"),
    [
        ({}, True),
        ({"egress": [{"cidr": "10.0.0.0/8"}]}, False),
        ({"isolation": "Open"}, False),
    ],
)
def test_a_hub_that_may_not_reach_its_bucket_is_warned_of(
    network: dict[str, Any], *, walled: bool
) -> None:
    spec = make_job(**BUCKET, network=network).spec
    found = [str(it) for it in warnings(spec)]
    assert [it.split(":")[0] for it in found] == ["spec.network.egress"] * walled
    assert all("say egress: [{cidr: ..., ports: [443]}]" in it for it in found)
    assert warnings(spec, on_cluster=False) == [], "a laptop has no such walls"


@pytest.mark.parametrize("strategy", ["IterativeMerge", "SingleMerge"])
def test_islands_that_merge_share_one_template(strategy: str) -> None:
    merging = {"task": {"type": "Classification"}, "strategy": {"type": strategy}}
    spec = {**merging, "islands.overrides": [{"island": 1, "template": {}}]}
    job = TrainingJob.from_document(job_document(**spec))
    (found,) = rules.violations(job.spec)
    assert found.field == "islands.overrides[0].template"
    assert found.message == f"with {strategy} all islands share one template"
    assert found.hint.startswith("say islands.template, with {island} in values of env")
    make_job(**merging, **{"islands.template": FULL_TEMPLATE})


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        (
            {"egress": [{"cidr": "10.0.0.0"}]},
            "egress[0].cidr: '10.0.0.0': should be an address and",
        ),
        ({"egress": [{"cidr": "10.0.0.1/8"}]}, "egress[0].cidr: '10.0.0.1/8': should be a range"),
        ({"egress": [{"cidr": "10.0.0.0/255.0.0.0"}]}, "should be an address and the length of"),
        ({"egress": [{"cidr": "fe80::%eth0/64"}]}, "should be an address and the length of"),
        ({"egress": [{"cidr": "10.0.0.0/33"}]}, "should be a range of addresses"),
        ({"egress": [{"ports": [443]}]}, "egress[0].cidr: is required"),
        ({"egress": [{"cidr": "::/0", "ports": [65536]}]}, "egress[0].ports[0]: 65536: should be"),
        (
            {"isolation": "Open", "egress": [{"cidr": "::/0"}]},
            "egress: has no effect with isolation Open: all is allowed (leave it out)",
        ),
        ({"isolation": "Closed"}, "isolation: 'Closed' is not accepted; accepted: Enforced, Open"),
    ],
)
def test_what_a_network_may_not_say(network: dict[str, Any], expected: str) -> None:
    problem = one_problem(network=network)
    assert problem.startswith("spec.network.")
    assert expected in problem


@pytest.mark.parametrize(
    ("managed_by", "elsewhere"),
    [(None, False), ("atoll.dev/operator", False), ("kueue.x-k8s.io/multikueue", True)],
)
def test_who_manages_a_job(managed_by: str | None, *, elsewhere: bool) -> None:
    assert make_job(managedBy=managed_by).spec.managed_elsewhere is elsewhere
