"""Every example that needs nothing but this machine, with few steps."""

from pathlib import Path
from typing import Any

import pytest
from jobs import run_job
from ruamel.yaml import YAML

from atoll_api import rules
from atoll_api.problems import parse_job

EXAMPLES = Path(__file__).parents[2] / "examples"
FEW: dict[str, dict[str, Any]] = {
    "smallest": {"training.steps": 20},
    "digits": {"training.steps": 20},
    "dimat": {
        "training.steps": 60,
        "strategy.iterativeMerge.firstRoundSteps": 40,
        "strategy.iterativeMerge.stepsPerRound": 10,
    },
    "single_merge": {"training.steps": 40},
    "diloco": {"training.steps": 20, "strategy.iterativeMerge.stepsPerRound": 10},
}
CHEAP = {"evaluation.samples": 16, "evaluation.seeds": 1, "evaluation.samplerSteps": 2}


def example(name: str) -> Any:
    return YAML(typ="safe").load((EXAMPLES / f"{name}.yaml").read_text())


@pytest.mark.parametrize("path", sorted(EXAMPLES.rglob("*.yaml")), ids=lambda it: it.stem)
def test_every_example_is_valid_and_earns_no_warning(path: Path) -> None:
    job = parse_job(YAML(typ="safe").load(path.read_text()))
    assert [finding.field for finding in rules.warnings(job.spec)] == []


@pytest.mark.parametrize("name", FEW)
def test_an_example_runs_to_its_report(name: str) -> None:
    job = example(name)
    for path, value in {**CHEAP, **FEW[name]}.items():
        node = job["spec"]
        *parents, last = path.split(".")
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = value
    findings = run_job(job).findings
    assert all(island["present"] for island in findings["islands"])
    assert findings["verdict"]["sentence"]
