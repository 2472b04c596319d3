"""The page says what was found, loudly where it is bad, and needs nothing from outside."""

import re

import pytest
import torch
from findings import findings, island, system

from atoll_worker.report.document import Findings, Report, RunFacts, StepWire, metrics
from atoll_worker.report.page import page
from atoll_worker.report.parts import Parts

PARTS = Parts(
    xy_P2=torch.rand(20, 2),
    island_P=torch.arange(20) % 2,
    mean_KD=torch.zeros(2, 1, 8, 8),
    few=(torch.zeros(3, 1, 8, 8), torch.zeros(3, 1, 8, 8)),
)
SAMPLES = {name: torch.zeros(4, 1, 8, 8) for name in ("Real", "Baseline", "Full")}


def rendered(of: Findings, run: RunFacts | None = None) -> str:
    run = run or RunFacts(job="digits", uid="0")
    return page(Report(metrics=metrics(of), findings=of, run=run), SAMPLES, PARTS)


@pytest.fixture(scope="module")
def html() -> str:
    return rendered(findings())


def test_the_page_answers_first_and_shows_its_numbers(html: str) -> None:
    assert "beats one model" in html
    assert html.index("beats one model") < html.index("Strategies")
    assert "0.400 ± 0.020" in html
    assert html.count('src="data:image/png') == len(SAMPLES) + 2 * len(PARTS.few)
    assert html.count("<svg") == 4


def test_the_page_needs_no_network_and_no_script(html: str) -> None:
    addresses = re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?([^"')\s>]+)""", html)
    assert addresses
    assert all(address.startswith(("data:", "#")) for address in addresses)
    assert "<script" not in html
    assert "@import" not in html


def test_charts_take_the_colours_of_the_page(html: str) -> None:
    assert "var(--ink)" in html
    assert "#010203" not in html


def test_text_from_outside_is_escaped() -> None:
    hostile = findings(contract={"path": "<script>alert(1)</script>"})
    assert "<script" not in rendered(hostile)
    assert "&lt;script&gt;" in rendered(hostile)


def test_an_island_that_failed_or_was_lost_is_told_loudly() -> None:
    html = rendered(findings(islands=(island(0, gate_passed=False), island(1, present=False))))
    assert "FAILED: no better than its initialisation" in html
    assert "LOST" in html
    assert "1 / 2" in html


def test_wires_are_shown_by_process_and_said_to_be_unmeasured_without_any() -> None:
    wire = StepWire(step="island-0", peer="hub", sent_bytes=12_300, received_bytes=0)
    counted = RunFacts(job="digits", uid="0", wires=(wire,), bytes_between_islands=0)
    assert "12.3 kB" in rendered(findings(), counted)
    assert "not measured" in rendered(findings())


def test_a_task_without_samples_has_a_page_too() -> None:
    plain = findings(systems=(system("Full"),), sampling=None)
    html = page(
        Report(metrics=metrics(plain), findings=plain, run=RunFacts(job="x", uid="0")), {}, PARTS
    )
    assert "This task has no sampler" in html
    assert "0.5000" in html


def test_the_same_numbers_give_the_same_page(html: str) -> None:
    torch.manual_seed(1)
    assert rendered(findings()) == html


def test_headline_numbers_are_decimal_strings() -> None:
    found = {(it.model, it.name): it.value for it in metrics(findings())}
    assert found["Full", "FrechetTrain"] == "0.4000"
    assert found["Baseline", "HoldoutLoss"] == "0.5000"


def test_rounded_weights_are_told(html: str) -> None:
    assert "travelled" not in html
    islands = (island(0, encoding="Int8"), island(1, encoding="Int8"))
    assert "Weights travelled as Int8:" in rendered(findings(islands=islands))
