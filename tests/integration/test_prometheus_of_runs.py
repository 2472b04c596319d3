"""A real Prometheus over real runs, with the configuration that a run leaves for it."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import held_tasks
import prometheus_server
import promtool
import pytest
import yaml
from asked_boards import ask, health_of_rules
from atoll_runs import Run, write_job
from held_tasks import HeldDiffusion, Hold

from atoll_api.exit_codes import ExitCode
from tools.monitoring import alerts
from tools.monitoring.pictures.__main__ import span_of
from tools.monitoring.pictures.prometheus import Prometheus, Span

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

RULES = Path(__file__).parents[2] / "charts/atoll/files/alerts.yaml"
SCRAPE_SECONDS = 1
SCRAPES = 8
"""Of an island before it may end: `rate` needs some."""
STEPS, BATCH, HELD_AT = 1500, 64, 400
ENSEMBLE: dict[str, Any] = {
    "islands.count": 2,
    "training.steps": STEPS,
    "training.batchSizePerIsland": BATCH,
    "training.checkpoint.everySeconds": 1,
}
MERGING: dict[str, Any] = {
    **ENSEMBLE,
    "islands.count": 3,
    "strategy": {
        "type": "IterativeMerge",
        "iterativeMerge": {"topology": {"type": "FullyConnected"}, "stepsPerRound": 500},
    },
    "evaluation": {"samples": 64, "seeds": 1, "samplerSteps": 4},
}
NOWHERE = (
    *("atoll_operator_", "kube_atoll_"),  # no operator runs it
    *("atoll_gpu_", "atoll_reported_gpu_"),  # the device of a test is the CPU
    "store_quota_bytes",  # none was asked for
    'code!="OK"',  # no call failed
)
NO_MERGES = ("merge", "atoll_mergeability_gap", "consensus_distance")
NO_ENSEMBLE = ("train_isolated", "router_accuracy", "Other steps: ")
"""Islands that meet are not isolated, and there is nobody to route."""


@dataclass(frozen=True)
class Seen:
    """A run that is over, and the Prometheus that looked at it."""

    prometheus: Prometheus
    folder: Path
    lacks: tuple[str, ...]
    """What is in queries that cannot have an answer here."""
    began: float
    ended: float

    def last(self, query: str) -> float:
        """The last value of the one series that a query answers with."""
        (series,) = self.prometheus.over(query, Span(self.began, self.ended, SCRAPE_SECONDS))
        return [value for value in series.values if value == value][-1]  # noqa: PLR0124 - NaN


@pytest.fixture(
    scope="module",
    params=[(ENSEMBLE, NO_MERGES), (MERGING, NO_ENSEMBLE)],
    ids=["ensemble", "merging"],
)
def seen(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Seen]:
    promtool.find("prometheus")
    place = tmp_path_factory.mktemp("run")
    spec, lacks = request.param
    task = held_tasks.spec(HeldDiffusion, place)
    holds = {f"{it}": Hold(place, f"island-{it}", HELD_AT) for it in range(spec["islands.count"])}
    began = time.time()
    run = Run.start(write_job(place, **spec, task=task), place / "out")
    file = run.folder / "prometheus" / "prometheus.yml"
    run.wait_for(lambda _: file.exists())
    configuration = _impatient(yaml.safe_load(file.read_text()), file.parent)
    with prometheus_server.running(configuration, tmp_path_factory.mktemp("tsdb")) as url:
        run.wait_for(lambda _: _release(Prometheus(url), holds))
        code, output = run.finish()
        assert code == ExitCode.OK, output
        yield Seen(Prometheus(url), run.folder, lacks, began, time.time())


def _release(prometheus: Prometheus, holds: dict[str, Hold]) -> bool:
    """Let islands go that were looked at often enough; whether all are: none is over too soon."""
    scrapes = f'count_over_time(atoll_train_steps_total{{role="island"}}[5m]) >= {SCRAPES}'
    for found in prometheus.at(scrapes, time.time()):
        if (hold := holds.get(found.labels["island"])) is not None and hold.reached():
            hold.release()
            del holds[found.labels["island"]]
    return not holds


def _impatient(configuration: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The same, for a run of half a minute, read from another folder."""
    often = f"{SCRAPE_SECONDS}s"
    configuration["rule_files"] = [str(RULES)]
    configuration["global"] = {"scrape_interval": often, "evaluation_interval": often}
    (scraped,) = configuration["scrape_configs"]
    (found,) = scraped["file_sd_configs"]
    found["files"] = [str(folder / it) for it in found["files"]]
    found["refresh_interval"] = often
    return configuration


@pytest.mark.parametrize("name", ["atoll-job", "atoll-exchange"])
def test_every_query_of_a_run_has_data_or_a_reason_to_have_none(seen: Seen, name: str) -> None:
    wanted = {"namespace": "local", "job": "digits"}
    asked = ask(seen.prometheus, name, wanted, span_of(seen.prometheus, wanted, 0.5, seen.ended))
    assert asked.unexplained(*NOWHERE, *seen.lacks) == []
    assert len(asked.empty) < len(asked.all) / 2


def test_every_rule_is_healthy_and_none_fires_over_a_run_that_is_well(seen: Seen) -> None:
    assert health_of_rules(seen.prometheus) == {it.name: "ok" for it in alerts.ALL}
    span = Span(seen.began, seen.ended, SCRAPE_SECONDS)
    assert seen.prometheus.over('ALERTS{alertstate="firing"}', span) == []


def test_counters_agree_with_the_report(seen: Seen) -> None:
    findings = json.loads((seen.folder / "report.json").read_text())["findings"]
    for island in findings["islands"]:
        of = f'{{step="island-{island["island"]}"}}'
        assert seen.last(f"atoll_reported_train_steps_total{of}") == STEPS
        assert seen.last(f"atoll_reported_train_samples_total{of}") == island["samplesSeen"]
    wires = json.loads((seen.folder / "report.json").read_text())["run"]["wires"]
    assert wires
    for wire in wires:
        for direction in ("sent", "received"):
            of = f'{{step="{wire["step"]}", peer="{wire["peer"]}", direction="{direction}"}}'
            counted = seen.last(f"atoll_reported_socket_bytes_total{of}")
            assert counted == wire[f"{direction}Bytes"], wire


def test_series_grow_with_the_islands_alone(seen: Seen) -> None:
    span = Span(seen.began, seen.ended, SCRAPE_SECONDS)
    counted = seen.prometheus.over('count by (step) ({step=~"island-.+"})', span)
    assert len({max(it.values) for it in counted}) == 1
    (all_of_them,) = seen.prometheus.over('count({__name__=~"atoll_.+"})', span)
    assert max(all_of_them.values) < 400 * (len(counted) + 4)
