"""How metrics find their way to Prometheus: monitors, annotations, a scrape configuration, walls."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import helm
import pytest
import yaml
from cluster_jobs import MERGING, blueprint, jobs
from relabelling import as_prometheus_spells_it, meta_labels, target

from atoll_api import names
from atoll_operator import metrics as operator_metrics
from atoll_operator.kubernetes.manifests.hub import hub_stateful_set
from atoll_operator.kubernetes.manifests.pods import SCRAPED
from atoll_worker import metrics as worker_metrics

BOTH = {"metrics": {"podMonitor": {"enabled": True}, "serviceMonitor": {"enabled": True}}}
SCRAPES = yaml.safe_load((helm.CHART.parents[1] / "docs/prometheus-scrape.yaml").read_text())
OF_JOBS, OF_OPERATORS = SCRAPES["scrape_configs"]
DISCOVERY = {"__meta_kubernetes_namespace", "__meta_kubernetes_pod_name"}
"""What prometheus-operator makes labels of by itself."""


def pod(document: dict[str, Any], index: int | None = None, phase: str = "Running") -> Any:
    """As the controllers of Kubernetes make it."""
    template = document["spec"]["template"]["metadata"]
    labels = dict(template["labels"])
    if index is not None:
        labels[names.LABEL_COMPLETION_INDEX] = str(index)
    metadata = {"namespace": "lab", "name": document["metadata"]["name"] + "-x", "labels": labels}
    return {"metadata": metadata, "status": {"phase": phase}}


def named(role: str, island: int | None = None, **spec: Any) -> Any:
    """A pod of a role; of islands that merge, that of the index."""
    drawn = blueprint(**spec)
    if role == "hub":
        return pod(hub_stateful_set(drawn))
    found = [it for it in jobs(drawn) if it["metadata"]["labels"][names.LABEL_ROLE] == role]
    if role == "island" and spec:
        return pod(found[0], island)
    return pod(found[island or 0])


def operator() -> Any:
    """One of the chart's."""
    labels = helm.rendered().pod["metadata"]["labels"]
    metadata = {"namespace": "system", "name": "o", "labels": labels}
    return {"metadata": metadata, "status": {"phase": "Running"}}


PODS = [
    (named("hub"), {"role": "hub"}),
    (named("hub", **MERGING), {"role": "hub"}),
    (named("island", 3), {"role": "island", "island": "3"}),
    (named("island", 0), {"role": "island", "island": "0"}),
    (named("island", 2, **MERGING), {"role": "island", "island": "2"}),
    (named("island", 0, **MERGING), {"role": "island", "island": "0"}),
    (named("router"), {"role": "router"}),
    (named("merge", **MERGING), {"role": "merge"}),
]


@pytest.mark.parametrize(("found", "expected"), PODS)
def test_a_target_says_whose_series_it_has(found: Any, expected: dict[str, str]) -> None:
    labels = target(OF_JOBS["relabel_configs"], meta_labels(found, "metrics"))
    where = {"namespace": "lab", "pod": found["metadata"]["name"]}
    assert labels == {**where, "trainingjob": "digits", **expected}


@pytest.mark.parametrize("port", ["tls-exchange", ""])
def test_ports_without_metrics_are_no_targets(port: str) -> None:
    assert target(OF_JOBS["relabel_configs"], meta_labels(named("hub"), port)) is None


def test_pods_that_have_ended_and_pods_of_others_are_no_targets() -> None:
    for phase in ("Succeeded", "Failed"):
        ended = pod(jobs(blueprint())[0], phase=phase)
        assert target(OF_JOBS["relabel_configs"], meta_labels(ended, "metrics")) is None
    stranger = named("hub")
    del stranger["metadata"]["labels"][names.LABEL_JOB]
    assert target(OF_JOBS["relabel_configs"], meta_labels(stranger, "metrics")) is None


def test_operators_are_targets_and_pods_of_jobs_are_none_of_theirs() -> None:
    rules = OF_OPERATORS["relabel_configs"]
    (port,) = helm.rendered().container["ports"]
    labels = target(rules, meta_labels(operator(), port["name"]))
    assert labels == {"namespace": "system", "pod": "o"}
    assert target(OF_JOBS["relabel_configs"], meta_labels(operator(), port["name"])) is None
    for found, _ in PODS:
        assert target(rules, meta_labels(found, "metrics")) is None


@pytest.mark.parametrize("job", [OF_JOBS, OF_OPERATORS], ids=lambda it: it["job_name"])
def test_prometheus_itself_makes_these_labels(job: dict[str, Any], tmp_path: Path) -> None:
    """Of what discovery says of the pods, said to it: not every build of it discovers pods."""
    pods = [*(it for it, _ in PODS), operator()]
    metas = [meta_labels(it, port) for it in pods for port in ("metrics", "health")]
    groups = [
        {"targets": [f"10.0.0.{number}:9464"], "labels": {**meta, "__address__": ""}}
        for number, meta in enumerate(metas)
    ]
    known = {name: it for name, it in job.items() if name != "kubernetes_sd_configs"}
    made = found_by_prometheus({**known, "static_configs": groups}, tmp_path)
    by_rules = [it for meta in metas if (it := target(job["relabel_configs"], meta))]
    assert sorted(map(str, made)) == sorted(str(sorted(it.items())) for it in by_rules)
    assert len(made) == (1 if job is OF_OPERATORS else len(PODS))


def found_by_prometheus(job: dict[str, Any], folder: Path) -> list[list[tuple[str, str]]]:
    """The labels of the targets of a job."""
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("NO PROMTOOL: relabelling is only simulated; install prometheus")
    page = folder / "prometheus.yaml"
    page.write_text(yaml.safe_dump({"scrape_configs": [job]}))
    done = subprocess.run(
        [program, "check", "service-discovery", "--timeout=1s", str(page), job["job_name"]],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    ours = ("__", "instance", "job")
    return [
        sorted((name, it) for name, it in found["labels"].items() if not name.startswith(ours))
        for found in json.loads(done.stdout)
        if found["labels"]
    ]


def test_the_monitor_and_the_scrape_configuration_make_the_same_labels() -> None:
    (endpoint,) = helm.rendered(BOTH).one("PodMonitor")["spec"]["podMetricsEndpoints"]
    ours = [
        it
        for it in OF_JOBS["relabel_configs"]
        if it.get("action") is None and not DISCOVERY & {*it["source_labels"]}
    ]
    assert as_prometheus_spells_it(endpoint["relabelings"]) == ours
    assert endpoint["port"] == "metrics"
    assert endpoint["honorLabels"] is OF_JOBS["honor_labels"] is False


def test_no_label_of_a_target_is_one_of_a_series() -> None:
    """But of the role, which both say alike: Prometheus renames the series' own."""
    made = {it["target_label"] for it in OF_JOBS["relabel_configs"] if "target_label" in it}
    own = {label.name for family in worker_metrics.ALL for label in family.labels}
    assert "step" in own - made, "the hub says of which step it speaks"
    assert made & own <= {worker_metrics.ROLE.name}


def test_the_operator_is_believed_whose_jobs_they_are() -> None:
    """Or `namespace` of a job would be `exported_namespace`, and the operator's in its place."""
    (endpoint,) = helm.rendered(BOTH).one("ServiceMonitor")["spec"]["endpoints"]
    assert endpoint["honorLabels"] is OF_OPERATORS["honor_labels"] is True
    made = {it["target_label"] for it in OF_OPERATORS["relabel_configs"] if "target_label" in it}
    own = {label.name for family in operator_metrics.ALL for label in family.labels}
    assert made & own == {"namespace"}
    component = {label.name for it in operator_metrics.COMPONENT for label in it.labels}
    assert not made & component


def test_monitors_are_not_there_unless_they_are_asked_for() -> None:
    for kind in ("PodMonitor", "ServiceMonitor"):
        assert not helm.rendered().all(kind)
        only = f"{kind[0].lower()}{kind[1:]}"
        found = helm.rendered({"metrics": {only: {"enabled": True}}})
        assert len(found.all("PodMonitor") + found.all("ServiceMonitor")) == 1
        assert found.one(kind)["apiVersion"] == "monitoring.coreos.com/v1"


def test_monitors_look_where_the_operator_does() -> None:
    spec = helm.rendered(BOTH).one("PodMonitor")["spec"]
    assert spec["namespaceSelector"] == {"any": True}
    assert spec["selector"] == {
        "matchExpressions": [{"key": names.LABEL_JOB, "operator": "Exists"}]
    }
    some = helm.rendered({**BOTH, "watchNamespaces": ["a", "b"]})
    assert some.one("PodMonitor")["spec"]["namespaceSelector"] == {"matchNames": ["a", "b"]}
    operators = some.one("ServiceMonitor")["spec"]
    assert operators["namespaceSelector"] == {"matchNames": ["system"]}
    service = some.one("Service")
    assert operators["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    (port,) = service["spec"]["ports"]
    assert operators["endpoints"][0]["port"] == port["name"]


@pytest.mark.parametrize("kind", ["PodMonitor", "ServiceMonitor"])
def test_a_monitor_is_found_by_its_prometheus_and_scrapes_as_often_as_said(kind: str) -> None:
    said = {
        "enabled": True,
        "labels": {"release": "prometheus", "app.kubernetes.io/instance": "mine"},
        "interval": "15s",
        "scrapeTimeout": "5s",
    }
    key = f"{kind[0].lower()}{kind[1:]}"
    found = helm.rendered({"metrics": {key: said}, "commonLabels": {"team": "a"}}).one(kind)
    labels = found["metadata"]["labels"]
    assert (labels["release"], labels["team"]) == ("prometheus", "a")
    assert labels["app.kubernetes.io/instance"] == "atoll", "whose object it is, the chart says"
    spec = found["spec"]
    (endpoint,) = spec.get("endpoints") or spec["podMetricsEndpoints"]
    assert (endpoint["path"], endpoint["interval"], endpoint["scrapeTimeout"]) == (
        *("/metrics", "15s"),
        "5s",
    )
    spec = helm.rendered(BOTH).one(kind)["spec"]
    (endpoint,) = spec.get("endpoints") or spec["podMetricsEndpoints"]
    assert not {"interval", "scrapeTimeout"} & endpoint.keys()


def test_annotations_are_for_who_asks_for_them() -> None:
    assert "annotations" not in helm.rendered().pod["metadata"]
    said = {"metrics": {"annotations": True}, "healthPort": 8080}
    found = helm.rendered({**said, "podAnnotations": {"a": "b"}})
    expected = {**SCRAPED, "prometheus.io/port": "8080", "a": "b"}
    assert found.pod["metadata"]["annotations"] == expected
    assert found.environment["ATOLL_SCRAPE_ANNOTATIONS"] == "true"
    own = {**said, "podAnnotations": {"prometheus.io/path": "/mine"}}
    assert helm.rendered(own).pod["metadata"]["annotations"]["prometheus.io/path"] == "/mine"


def test_only_who_may_read_metrics_comes_to_the_operator() -> None:
    """Monitors and annotations open no door: `metricsFrom` does."""
    everything = {"annotations": True, **BOTH["metrics"]}
    (rule,) = helm.rendered({"metrics": everything}).one("NetworkPolicy")["spec"]["ingress"]
    (tester,) = rule["from"]
    assert tester["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "test"
    scraper = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
    found = helm.rendered({"metrics": everything, "metricsFrom": [scraper]})
    (rule,) = found.one("NetworkPolicy")["spec"]["ingress"]
    assert rule["from"] == [tester, scraper]
    assert [it["port"] for it in rule["ports"]] == [names.METRICS_PORT]
    assert json.loads(found.environment["ATOLL_METRICS_FROM"]) == [scraper], "for pods of jobs"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"podMonitor": {"enabled": "yes"}}, "enabled"),
        ({"podMonitor": {"interval": "15"}}, "interval"),
        ({"serviceMonitor": {"scrapeTimeout": "a while"}}, "scrapeTimeout"),
        ({"podMonitor": {"label": {}}}, "label"),
        ({"annotations": {"prometheus.io/scrape": "true"}}, "annotations"),
        ({"objects": "all"}, "objects"),
    ],
    ids=str,
)
def test_what_cannot_be_meant_is_refused(values: dict[str, Any], words: str) -> None:
    assert words in helm.refusal({"metrics": values})


def notes(values: dict[str, Any], folder: Path) -> str:
    """What `helm install` says at its end; `helm template` says it only of a file of its own."""
    chart = shutil.copytree(helm.CHART, folder / "atoll", dirs_exist_ok=True)
    (chart / "templates/NOTES.txt").rename(chart / "files/NOTES.txt")
    told = '{{ tpl (.Files.Get "files/NOTES.txt") . | toJson }}'
    (chart / "templates/told.yaml").write_text(f"told: {told}\n")
    which = ("--kube-version", helm.KUBERNETES, "--show-only", "templates/told.yaml")
    said = helm.run("template", "atoll", str(chart), *which, values={**helm.IMAGES, **values})
    return " ".join(str(yaml.safe_load(said)["told"]).split())


def test_the_notes_say_how_to_see_them(tmp_path: Path) -> None:
    bare = notes({}, tmp_path)
    assert "nobody is told to scrape them" in bare
    assert "until metricsFrom says who it is" in bare
    assert "curl -s http://127.0.0.1:9464/metrics" in bare
    full = notes({**BOTH, "metricsFrom": [{"podSelector": {}}]}, tmp_path)
    assert "by the PodMonitor atoll-jobs and the ServiceMonitor atoll-operator." in full
    assert "metricsFrom says" not in full
    annotated = {"metrics": {**BOTH["metrics"], "annotations": True}}
    assert "atoll-operator, and by annotations of pods." in notes(annotated, tmp_path)
    assert "finds them by annotations of pods." in notes(
        {"metrics": {"annotations": True}}, tmp_path
    )
