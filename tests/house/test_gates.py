"""Each gate of `make check`, with a fault planted in a copy of the tree: a gate that cannot
fail is no gate."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
COPIED = (
    "api",
    "telemetry",
    "operator",
    "worker",
    "cli",
    "protos",
    "tools",
    "charts",
    "pyproject.toml",
)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__py*"))
        else:
            shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def run(tree: Path, *command: str) -> subprocess.CompletedProcess[str]:
    roots = [
        str(tree / name) for name in ("api", "telemetry", "operator", "worker", "cli", "protos/gen")
    ]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(roots), "NO_COLOR": "1"}
    return subprocess.run(
        command, cwd=tree, env=environment, capture_output=True, text=True, check=False
    )


def plant(tree: Path, module: str, line: str) -> None:
    path = tree / module
    path.write_text(f"{path.read_text()}\n{line}\n")


IMPORTS = [
    ("api/atoll_api/names.py", "import torch", "The contract knows neither side"),
    ("operator/atoll_operator/plan/plan.py", "import time", "The plan is pure"),
    ("operator/atoll_operator/plan/policies/quorum.py", "import random", "The plan is pure"),
    ("operator/atoll_operator/reconcile.py", "import atoll_worker.errors", "The operator starts"),
    ("operator/atoll_operator/reconcile.py", "import atoll_operator.local", "The shell knows"),
    ("worker/atoll_worker/ensemble/combine.py", "import time", "Tensor functions are pure"),
    ("worker/atoll_worker/merge/mean.py", "import random", "Tensor functions are pure"),
    ("worker/atoll_worker/exchange/server.py", "import torch", "The hub starts fast"),
    ("worker/atoll_worker/exchange/identity.py", "import cryptography", "The hub starts fast"),
    ("api/atoll_api/hub_order.py", "import atoll_api.spec.task", "The hub starts fast"),
    ("worker/atoll_worker/data/__init__.py", "import atoll_worker.roles.hub", "Roles are entry"),
    (
        "worker/atoll_worker/roles/hub.py",
        "import atoll.exchange.v1.exchange_pb2",
        "Messages on the wire",
    ),
    ("operator/atoll_operator/reconcile.py", "import kopf", "Only the runtime for clusters"),
    ("operator/atoll_operator/local/run.py", "import kubernetes.aio", "Only the runtime for cl"),
    (
        "operator/atoll_operator/kubernetes/manifests/__init__.py",
        "import time",
        "Manifests are pure",
    ),
    (
        "operator/atoll_operator/kubernetes/__init__.py",
        "import atoll_operator.local.cores",
        "The runtimes do not know each other",
    ),
    ("worker/atoll_worker/errors.py", "import atoll_cli", "The command line is on top"),
]


def test_the_layers_hold(tree: Path) -> None:
    result = run(tree, str(BIN / "lint-imports"), "--no-cache")
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(("module", "line", "contract"), IMPORTS)
def test_a_forbidden_import_breaks_its_contract(
    tree: Path, module: str, line: str, contract: str
) -> None:
    plant(tree, module, line)
    result = run(tree, str(BIN / "lint-imports"), "--no-cache")
    assert result.returncode == 1
    broken = [row for row in result.stdout.splitlines() if " BROKEN" in row]
    assert any(row.startswith(contract) for row in broken), result.stdout


def test_a_changed_proto_is_noticed(tree: Path) -> None:
    plant(tree, "protos/atoll/progress/v1/progress.proto", "message Planted {}")
    result = run(tree, sys.executable, "tools/generate_protos.py", "--check")
    assert result.returncode == 1
    assert "run `make generate`" in result.stdout


def test_an_edited_generated_file_is_noticed(tree: Path) -> None:
    plant(tree, "protos/gen/atoll/exchange/v1/exchange_pb2.py", "# edited by hand")
    result = run(tree, sys.executable, "tools/generate_protos.py", "--check")
    assert result.returncode == 1


def test_the_protos_are_linted_and_compatible(tree: Path) -> None:
    result = run(tree, sys.executable, "tools/check_protos.py")
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("found", "planted", "reason"),
    [
        ("int64 received_bytes = 1;", "int64 receivedBytes = 1;", "lower_snake_case"),
        ("int64 received_bytes = 1;", "int32 received_bytes = 1;", "a released peer cannot read"),
        ("int64 received_bytes = 1;", "int64 received_bytes = 2;", "a released peer cannot read"),
        ("  // The ref.\n", "", "non-empty comment"),
        ("  rpc Drop(DropRequest) returns (DropResponse);", "", "a released peer cannot read"),
        ("rpc Publish(stream Pub", "rpc Publish(Pub", "a released peer cannot read"),
    ],
)
def test_a_breaking_or_badly_kept_proto_is_noticed(
    tree: Path, found: str, planted: str, reason: str
) -> None:
    path = tree / "protos/atoll/exchange/v1/exchange.proto"
    assert found in path.read_text()
    path.write_text(path.read_text().replace(found, planted, 1))
    result = run(tree, sys.executable, "tools/check_protos.py")
    assert result.returncode == 1
    assert reason in result.stdout


def test_a_changed_type_is_noticed_in_the_crd(tree: Path) -> None:
    path = tree / "api/atoll_api/spec/islands.py"
    path.write_text(
        path.read_text().replace("MOST_ISLANDS: Final = 2000", "MOST_ISLANDS: Final = 1999", 1)
    )
    result = run(tree, sys.executable, "tools/generate_crd.py", "--check")
    assert result.returncode == 1
    assert "run `make generate`" in result.stdout


def test_a_changed_value_is_noticed_in_the_charts_readme(tree: Path) -> None:
    command = (sys.executable, "tools/generate_chart_readme.py", "--check")
    assert run(tree, *command).returncode == 0
    path = tree / "charts/atoll/values.yaml"
    path.write_text(path.read_text().replace("replicas: 2", "replicas: 3", 1))
    result = run(tree, *command)
    assert result.returncode == 1
    assert "run `make generate`" in result.stdout


def test_a_changed_reason_is_noticed_in_its_page(tree: Path) -> None:
    shutil.copytree(ROOT / "docs", tree / "docs")
    command = (sys.executable, "tools/generate_troubleshooting.py", "--check")
    assert run(tree, *command).returncode == 0
    path = tree / "api/atoll_api/reasons.py"
    path.write_text(path.read_text().replace("Islands train;", "They train;", 1))
    result = run(tree, *command)
    assert result.returncode == 1
    assert "run `make generate`" in result.stdout


def test_a_changed_metric_is_noticed_in_what_is_made_of_it(tree: Path) -> None:
    shutil.copytree(ROOT / "docs", tree / "docs")
    command = (sys.executable, "-m", "tools.generate_monitoring", "--check")
    assert run(tree, *command).returncode == 0
    path = tree / "worker/atoll_worker/metrics.py"
    path.write_text(path.read_text().replace("Refs that are bound.", "What is bound.", 1))
    (tree / "charts/atoll/files/dashboards/mine.json").write_text("{}")
    result = run(tree, *command)
    assert result.returncode == 1
    assert "docs/metrics.md is not what tools/monitoring says: run `make generate`" in result.stdout
    assert "mine.json" in result.stdout


@pytest.mark.parametrize(
    ("module", "line", "rule"),
    [
        ("api/atoll_api/names.py", "def f(x): return x", "ANN"),
        ("worker/atoll_worker/errors.py", "print('x')", "T201"),
        ("operator/__init__.py", "", "A005"),
        ("worker/atoll_worker/errors.py", "import pickle\nX = pickle.loads(b'')", "S301"),
        ("worker/atoll_worker/errors.py", "import torch\nX = torch.load('x')", "TID251"),
        ("worker/atoll_worker/errors.py", "import yaml\nX = yaml.load('', yaml.Loader)", "S506"),
        ("worker/atoll_worker/errors.py", "X = eval('1')", "S307"),
        ("worker/atoll_worker/errors.py", "exec('1')", "S102"),
    ],
)
def test_the_linter_sees(tree: Path, module: str, line: str, rule: str) -> None:
    (tree / module).touch()
    plant(tree, module, line)
    result = run(tree, str(BIN / "ruff"), "check", "--no-cache", module)
    assert result.returncode == 1
    assert rule in result.stdout


def test_the_type_checker_sees(tree: Path) -> None:
    plant(tree, "api/atoll_api/names.py", "SHORT: int = SHORT_NAME")
    result = run(tree, str(BIN / "mypy"), "--no-incremental", "api/atoll_api/names.py")
    assert result.returncode == 1
    assert "Incompatible types" in result.stdout
