"""Work orders that were altered: a worker ends with a documented code and one line."""

import io
import json
import signal
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from importlib import import_module
from pathlib import Path
from random import Random
from typing import Any, Final

import pytest
from builders import make_job
from cluster_jobs import MERGING, accepted
from damage import altered_json, nonsense
from fuzzing import Fuzz

from atoll_api import resolved_job, work_order
from atoll_api.exit_codes import ExitCode
from atoll_api.names import Process
from atoll_operator.plan.pipeline import pipeline
from atoll_telemetry import logs
from atoll_worker.__main__ import main

JOBS: Final[Sequence[dict[str, Any]]] = (
    {},
    MERGING,
    {"task": {"type": "Classification"}, "strategy": {"type": "SingleMerge"}},
    {
        "strategy.expertEnsemble.seedSteps": 3,
        "exchange.encoding": "Delta",
        "baseline.enabled": True,
    },
    {
        "artifacts.storage": {"type": "ObjectStore", "objectStore": {"url": "s3://abc/d"}},
        "artifacts.quota": "1Gi",
    },
)
STEPS: Final = (
    "partition", "island-0", "island-3", "router", "merge", "evaluate", "baseline", "seed", "hub",
    "cli", "island-9999999999", "island-", "", "island-\u0661", "x" * 999, "..", "operator",
)  # fmt: skip
LAST_RESORT: Final = "(--debug shows where)"
MOST_CHARACTERS: Final = 4000


def orders() -> tuple[list[bytes], list[bytes]]:
    """Of every process of some jobs, and these jobs as processes of a cluster read them."""
    told, jobs = [], []
    for changes in JOBS:
        resolved = accepted(make_job(**changes))
        jobs.append(json.dumps(resolved.to_document()).encode())
        told.append(work_order.dump(resolved_job.order_of_hub(resolved)).encode())
        for step in pipeline(resolved.spec):
            process = Process(resolved.job.uid, step.role, step.island or 0)
            told.append(work_order.dump(resolved_job.order_of(resolved, process)).encode())
    return told, jobs


def ended(*arguments: str) -> tuple[ExitCode, str]:
    """How a worker ends, whose identity nobody has issued, and all that it says."""
    output = io.StringIO()
    argv, sys.argv = sys.argv, ["atoll_worker", *arguments]
    known = [signal.getsignal(it) for it in (signal.SIGTERM, signal.SIGINT)]
    try:
        with redirect_stderr(output), redirect_stdout(output):
            code = ExitCode(main())
    finally:
        sys.argv = argv
        for number, handler in zip((signal.SIGTERM, signal.SIGINT), known, strict=True):
            signal.signal(number, handler)
    return code, output.getvalue().rstrip("\n")


def content_of(random: Random, known: list[bytes]) -> bytes:
    if random.random() < 0.02:
        try:
            return json.dumps(nonsense(random)).encode()
        except (ValueError, RecursionError):
            return b""
    return altered_json(random, random.choice(known))


def test_orders(fuzz: Fuzz, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(logs.ENV_LEVEL, "error")  # but for the line that it ends with
    for role in work_order.STEP_ROLES:  # torch is no case
        import_module(f"atoll_worker.roles.{role}")
    told, jobs = orders()
    path = tmp_path / "order.json"

    def case(random: Random) -> str:
        of_job = random.random() < 0.3
        path.write_bytes(content_of(random, jobs if of_job else told))
        step = random.choice(STEPS[1:]) or "x"
        code, line = ended("--job", str(path), "--step", step) if of_job else ended(str(path))
        assert line.startswith("atoll: "), line
        assert "\n" not in line, line
        assert LAST_RESORT not in line, line[-400:]
        assert len(line) < MOST_CHARACTERS, f"{line[:200]} and {len(line)} more"
        assert code is ExitCode.FINAL, line
        return (
            "no order"
            if "the work order" in line
            else "no step"
            if "is no step" in line
            else "read"
        )

    fuzz.run("orders", case, {"no order", "no step", "read"})
