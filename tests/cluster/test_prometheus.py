"""A real Prometheus over a job on a cluster: what operator, hub and islands say, and dashboards ask."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import prometheus_server
import promtool
import pytest
import yaml
from asked_boards import ask, health_of_rules
from kubectl import Kubectl
from lab import ENSEMBLE, in_state, submit, until
from relabelling import meta_labels

from tools.monitoring import alerts
from tools.monitoring.pictures.prometheus import Prometheus, Span

pytestmark = pytest.mark.timeout(600)

ROOT = Path(__file__).parents[2]
PORTS = {"metrics": 9464, "health": 9464}
STEPS = 2000
NOWHERE = (
    *("atoll_gpu_", "atoll_reported_gpu_"),  # the node has none
    *("merge", "atoll_mergeability_gap", "consensus_distance"),  # islands that never meet
    "store_quota_bytes",  # none was asked for
    'code!="OK"',  # no call failed
    'code!~"',  # nor did the API server refuse anything
    *("_retries_total", "island_recovery", 'result="error"', "restarts"),  # nothing went wrong
    *("Failed", 'condition="Degraded"'),  # no job was
)


@dataclass(frozen=True)
class Seen:
    """A job that is over, and the Prometheus that looked at it."""

    prometheus: Prometheus
    namespace: str
    status: dict[str, Any]
    span: Span


@pytest.fixture(scope="module")
def seen(lab: Kubectl, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    promtool.find("prometheus")
    folder = tmp_path_factory.mktemp("tsdb")
    configuration = _configuration(folder / "pods.json")
    began = time.time()
    with (
        _pods_of(lab, folder / "pods.json"),
        prometheus_server.running(configuration, folder) as url,
    ):
        submit(lab, "seen", **{**ENSEMBLE, "training.steps": STEPS})
        status = until(lab, "seen", in_state("Complete"), 300)
        time.sleep(10)  # the hub is scraped once more, and the leader of the job that has ended
        yield Seen(Prometheus(url), lab.namespace, status, Span(began, time.time(), 1))
    lab.run("delete", "trainingjob", "seen")


def _configuration(pods: Path) -> dict[str, Any]:
    """That of the docs, every second; Debian's Prometheus finds pods through a file."""
    found: dict[str, Any] = yaml.safe_load((ROOT / "docs/prometheus-scrape.yaml").read_text())
    for scraped in found["scrape_configs"]:
        del scraped["kubernetes_sd_configs"]
        scraped["file_sd_configs"] = [{"files": [str(pods)], "refresh_interval": "1s"}]
    found["rule_files"] = [str(ROOT / "charts/atoll/files/alerts.yaml")]
    found["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    return found


@contextmanager
def _pods_of(lab: Kubectl, path: Path) -> Iterator[None]:
    """Keep a file of the pods that are there, as service discovery would tell of them."""
    stop = threading.Event()

    def follow() -> None:
        while not stop.is_set():
            pods = json.loads(lab.run("get", "pods", "-o", "json"))["items"]
            new = path.with_suffix(".new")
            new.write_text(json.dumps([it for pod in pods for it in _targets(pod)]))
            new.replace(path)
            stop.wait(1)

    following = threading.Thread(target=follow)
    following.start()
    try:
        yield
    finally:
        stop.set()
        following.join()


def _targets(pod: dict[str, Any]) -> Iterator[dict[str, Any]]:
    address = pod["status"].get("podIP")
    named = {port["name"] for it in pod["spec"]["containers"] for port in it.get("ports", ())}
    for name in sorted(named & PORTS.keys()) if address else ():
        yield {
            "targets": [f"{address}:{PORTS[name]}"],
            "labels": {
                key: value for key, value in meta_labels(pod, name).items() if key != "__address__"
            },
        }


@pytest.mark.parametrize("board", ["atoll-fleet", "atoll-operator", "atoll-job", "atoll-exchange"])
def test_every_query_has_data_or_a_reason_to_have_none(seen: Seen, board: str) -> None:
    asked = ask(seen.prometheus, board, {"namespace": seen.namespace, "job": "seen"}, seen.span)
    assert asked.unexplained(*NOWHERE) == []
    assert len(asked.empty) < len(asked.all) / 2


def test_every_rule_is_healthy_and_none_fires(seen: Seen) -> None:
    assert health_of_rules(seen.prometheus) == {it.name: "ok" for it in alerts.ALL}
    assert seen.prometheus.over('ALERTS{alertstate="firing"}', seen.span) == []


def test_what_is_counted_is_what_was_done(seen: Seen) -> None:
    of = f'namespace="{seen.namespace}", trainingjob="seen"'
    trained = seen.prometheus.over(
        f'max by (step) (max_over_time(atoll_reported_train_steps_total{{{of}, step=~"island-.+"}}[1h]))',
        seen.span,
    )
    assert {it.labels["step"]: max(it.values) for it in trained} == {
        it["name"]: STEPS for it in seen.status["islands"]
    }
    (done,) = seen.prometheus.over(f"kube_atoll_trainingjob_progress_ratio{{{of}}}", seen.span)
    assert done.values[-1] == 1.0
    (finished,) = seen.prometheus.over(
        'sum(atoll_operator_trainingjobs_finished_total{result="Complete"})', seen.span
    )
    assert finished.values[-1] == 1.0
    (leaders,) = seen.prometheus.over("sum(atoll_operator_leader)", seen.span)
    assert leaders.values[-1] == 1.0
