"""Every query of every dashboard answers from a real Prometheus, and every panel is drawn."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import catalogue_exporter
import prometheus_server
import promtool
import pytest
from matplotlib import image

from atoll_operator import metrics as operators
from atoll_telemetry.families import Family
from atoll_worker import metrics as workers
from tools.monitoring import alerts
from tools.monitoring.alerts.alert import Alert
from tools.monitoring.catalogue import OURS
from tools.monitoring.pictures.__main__ import FOLDER, main, span_of
from tools.monitoring.pictures.answers import chosen, shown
from tools.monitoring.pictures.prometheus import Prometheus, PrometheusError, Span
from tools.monitoring.pictures.style import COLUMN_PIXELS, GAP_PIXELS, ROW_PIXELS

WANTED = {"namespace": catalogue_exporter.NAMESPACE, "job": catalogue_exporter.JOB}
SCRAPES = 8

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prometheus that has looked a few times at processes that say every metric."""
    with catalogue_exporter.serving() as port:
        configuration = catalogue_exporter.scrape_configuration(port)
        with prometheus_server.running(configuration, tmp_path_factory.mktemp("tsdb")) as address:
            wait_for_scrapes(Prometheus(address))
            yield address


def wait_for_scrapes(prometheus: Prometheus) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = prometheus.at("min(count_over_time(up[5m])) * min(up)", time.time())
        if found and found[0].values[0] >= SCRAPES:
            return
        time.sleep(0.5)
    raise AssertionError("a target does not answer")


def test_every_family_reaches_prometheus(url: str) -> None:
    now = time.time()
    there = set(Prometheus(url).values("__name__", '{__name__=~".+"}', Span(now - 60, now, 1)))
    suffixes = ("", "_bucket")
    assert [it.name for it in OURS if not there & {it.name + end for end in suffixes}] == []


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.json")), ids=lambda it: it.stem)
def test_every_query_answers(url: str, file: Path) -> None:
    prometheus, document = Prometheus(url), json.loads(file.read_text())
    span = span_of(prometheus, WANTED, 0.1, time.time())
    values = chosen(document, prometheus, span, WANTED)
    empty = [
        f"{it.title}: {target['expr']}"
        for it in shown(document, prometheus, span, values)
        for index, target in enumerate(it.panel.get("targets") or ())
        if not any(answer.query == index for answer in it.answers)
    ]
    assert empty == []


@pytest.mark.parametrize("alert", alerts.ALL, ids=lambda it: it.name)
def test_an_alert_can_be_asked_of_many_steps(url: str, alert: Alert) -> None:
    """promtool's stories have one step; where there are several, a join may be ambiguous."""
    prometheus, now = Prometheus(url), time.time()
    prometheus.at(alert.expr, now)
    prometheus.at(alert.expr.replace("[15m]", "[5s]").replace("offset 1h", "offset 2s"), now)


def test_every_dashboard_is_drawn(url: str, tmp_path: Path) -> None:
    arguments = ["--prometheus", url, "--job", WANTED["job"], "--namespace", WANTED["namespace"]]
    assert main([*arguments, "--out", str(tmp_path), "--hours", "0.1"]) == 0
    for file in FOLDER.glob("*.json"):
        picture = image.imread(tmp_path / f"dashboard-{file.stem.removeprefix('atoll-')}.png")
        places = [it["gridPos"] for it in json.loads(file.read_text())["panels"]]
        rows = max(it["y"] + it["h"] for it in places)
        assert picture.shape[1] == 24 * COLUMN_PIXELS + GAP_PIXELS
        assert picture.shape[0] == pytest.approx(rows * ROW_PIXELS + GAP_PIXELS, abs=1)
        assert len({tuple(it) for it in picture[::7, ::7].reshape(-1, 4).round(2)}) > 50


def test_a_job_that_nobody_knows_is_said(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--prometheus", url, "--job", "nobody"]) == 1
    assert 'no word of namespace="local", trainingjob="nobody"' in capsys.readouterr().err


def test_how_often_it_looks_is_read_from_its_configuration(url: str) -> None:
    assert Prometheus(url).scrape_seconds() == 1.0


def test_a_question_that_is_none_is_said(url: str) -> None:
    with pytest.raises(PrometheusError, match="parse error"):
        Prometheus(url).at("sum(", time.time())


def test_a_server_that_is_not_there_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--prometheus", "http://127.0.0.1:1", "--job", "digits"]) == 1
    assert "does not answer as Prometheus" in capsys.readouterr().err


def test_promtool_finds_nothing_to_say_about_any_metric() -> None:
    everything = {family for it in (workers.ALL, operators.ALL) for family in it}
    said = promtool.tried("check", "metrics", given=_exposition(everything))
    assert said.returncode == 0, said.stdout + said.stderr


def test_promtool_finds_something_to_say_about_a_bad_one() -> None:
    said = promtool.tried("check", "metrics", given="# TYPE bad_ms counter\nbad_ms 1\n")
    assert said.returncode != 0


def _exposition(families: set[Family]) -> str:
    return catalogue_exporter.Process("hub", sorted(families, key=lambda it: it.name)).says()
