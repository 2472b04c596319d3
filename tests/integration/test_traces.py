"""Runs of `atoll run`, as a collector of traces and a shipper of logs see them."""

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from socket import create_server
from typing import Any

import pytest
from atoll_runs import atoll, environment, write_job
from collector import Collector, Span, collecting

from atoll_api.exit_codes import ExitCode
from atoll_telemetry import logs, tracing

ROUNDS = range(3)
MERGING: dict[str, Any] = {
    "islands.count": 2,
    "training.steps": 300,
    "evaluation": {"samples": 64, "seeds": 1, "samplerSteps": 4},
    "strategy": {
        "type": "IterativeMerge",
        "iterativeMerge": {"topology": {"type": "FullyConnected"}, "stepsPerRound": 100},
    },
}


@dataclass(frozen=True)
class Seen:
    """A run that is over."""

    folder: Path
    collector: Collector
    output: str

    def log(self, step: str) -> list[dict[str, Any]]:
        """Its lines, each of which has to be JSON."""
        text = (self.folder / "logs" / f"{step}.log").read_text()
        return [json.loads(line) for line in text.splitlines() if not line.startswith("atoll: ")]

    def above(self, span: Span) -> list[Span]:
        """The spans above, the nearest first."""
        found = []
        while span.parent_id:
            span = self.collector.parent_of(span)
            found.append(span)
        return found

    def below(self, span: Span, name: str) -> list[Span]:
        """The spans of this name right below, in the order in which they began."""
        return [it for it in self.collector.named(name) if it.parent_id == span.span_id]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    folder = tmp_path_factory.mktemp("traced")
    with collecting() as collector:
        told = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint, "ATOLL_LOG_FORMAT": "json"}
        job = write_job(folder, **MERGING)
        done = atoll("run", job, "--out", folder / "out", env=environment() | told)
    assert done.returncode == ExitCode.OK, done.stderr + done.stdout
    assert done.stderr == ""
    return Seen(folder / "out", collector, done.stdout)


@pytest.mark.slow
@pytest.mark.timeout(600)
class TestARunThatMerges:
    def test_it_is_one_trace_below_one_job(self, seen: Seen) -> None:
        (job,) = seen.collector.named("job")
        assert job.service == "atoll-operator"
        assert job.attributes == {"atoll.job": "digits", "atoll.state": "Complete"}
        assert {it.trace_id for it in seen.collector.spans} == {job.trace_id}
        for span in seen.collector.spans:
            assert ([span, *seen.above(span)])[-1] == job
            assert span.ended_ns >= span.began_ns >= job.began_ns - 1_000_000_000
            assert not span.failed

    def test_the_operator_tells_what_it_did(self, seen: Seen) -> None:
        actions = [it for it in seen.collector.spans if seen.above(it)[:1] and
                   seen.above(it)[0].name == "reconcile"]  # fmt: skip
        started = {it.attributes["atoll.step"] for it in actions if it.name == "StartStep"}
        assert started == {"partition", "island-0", "island-1", "merge", "evaluate"}
        assert {it.name for it in actions} >= {"StartHub", "StopHub"}
        assert all(seen.below(it, it.name) == [] for it in actions)

    def test_each_island_trains_round_by_round(self, seen: Seen) -> None:
        islands = {it.attributes["atoll.island"]: it for it in seen.collector.named("island")}
        assert islands.keys() == {0, 1}
        for number, island in islands.items():
            assert [it.name for it in seen.above(island)] == ["job"]
            assert island.attributes["atoll.step"] == f"island-{number}"
            (train,) = seen.below(island, "train")
            assert train.attributes["atoll.steps"] == 300
            rounds = seen.below(train, "round")
            assert [it.attributes["atoll.round"] for it in rounds] == list(ROUNDS)
            for at, merged in enumerate(rounds):
                (fetch,) = seen.below(merged, "fetch")
                assert fetch.attributes["atoll.ref"] == f"islands/{1 - number}/rounds/{at}"
                (send,) = seen.below(fetch, "send")
                assert send.attributes["atoll.step"] == f"island-{1 - number}"
                assert send.attributes["atoll.peer"] == f"island-{number}"

    def test_a_checkpoint_is_sent_from_its_thread(self, seen: Seen) -> None:
        checkpoints = seen.collector.named("checkpoint")
        assert {seen.above(it)[0].attributes["atoll.island"] for it in checkpoints} == {0, 1}
        publish = seen.below(checkpoints[0], "publish")[0]
        (receive,) = seen.below(publish, "receive")
        assert receive.service == "atoll-hub"
        assert 0 < receive.attributes["atoll.bytes"] <= publish.attributes["atoll.bytes"]

    def test_the_merge_is_a_part_of_it(self, seen: Seen) -> None:
        (merge,) = seen.collector.named("merge")
        (final,) = seen.below(merge, "final merge")
        refs = [it.attributes["atoll.ref"] for it in seen.below(final, "fetch")]
        assert {"islands/0/final", "islands/1/final"} <= set(refs)
        (publish,) = seen.below(final, "publish")
        assert publish.attributes["atoll.ref"] == "merged"

    def test_every_line_says_whose_it_is(self, seen: Seen) -> None:
        (job,) = seen.collector.named("job")
        for step in ("hub", "partition", "island-0", "island-1", "merge", "evaluate"):
            lines = seen.log(step)
            assert lines, step
            for line in lines:
                assert logs.parse(json.dumps(line)) == line
                assert (line["job"], line["step"]) == ("digits", step)
                assert line.get("island") == (int(step[-1]) if "island" in step else None)
                assert line.get("trace_id", job.trace_id) == job.trace_id
            assert any("trace_id" in line for line in lines)

    def test_an_island_tells_its_story_in_few_lines(self, seen: Seen) -> None:
        lines = seen.log("island-0")
        said = "\n".join(line["msg"] for line in lines)
        assert "island-0 of digits begins" in said
        assert "trains from step 0 to 300 on the CPU, threads: 1" in said
        assert "trained to step 300 in" in said
        assert [it["round"] for it in lines if "round" in it] == list(ROUNDS)
        assert "checkpoint of step 300 saved" in said
        assert lines[-1]["msg"].startswith("done in")
        assert len(lines) < 20
        assert "merged: loss of the islands" in "\n".join(it["msg"] for it in seen.log("merge"))
        hub = "\n".join(it["msg"] for it in seen.log("hub"))
        assert "listens on 127.0.0.1:" in hub
        assert "took over merged, " in hub


@pytest.mark.slow
def test_a_failure_is_a_record_and_a_plain_last_line(tmp_path: Path) -> None:
    nonsense = {"data.source": f"file://{tmp_path}/nothing.npz"}
    told = environment() | {"ATOLL_LOG_FORMAT": "json"}
    done = atoll("run", write_job(tmp_path, **nonsense), "--out", tmp_path / "out", env=told)
    assert done.returncode == ExitCode.FINAL
    lines = (tmp_path / "out/logs/partition.log").read_text().splitlines()
    record, last = json.loads(lines[-2]), lines[-1]
    assert "nothing.npz" in last
    assert last == f"atoll: partition: {record['msg']}"
    assert record["msg"] in done.stderr
    assert (record["level"], record["exit_code"]) == ("error", ExitCode.FINAL)
    assert '"ts"' not in done.stderr


@pytest.mark.parametrize("answers", ["closed", "mute", "silent"])
def test_a_process_ends_soon_whoever_its_collector_is(answers: str) -> None:
    program = (
        "from atoll_telemetry import tracing; tracing.set_up('x')\n"
        "for number in range(3000):\n"
        "    with tracing.span('round', round=number): pass\n"
        "tracing.shut_down()"
    )
    with create_server(("127.0.0.1", 0)) as mute, collecting(silent=True) as silent:
        port = {"mute": mute.getsockname()[1], "closed": 1}.get(answers)
        where = silent.endpoint if port is None else f"http://127.0.0.1:{port}"
        told = environment() | {"OTEL_EXPORTER_OTLP_ENDPOINT": where}
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-c", program], env=told, capture_output=True, text=True, check=False
        )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    start_and_slack = 6.0
    assert time.monotonic() - began < tracing.FLUSH_SECONDS + start_and_slack
