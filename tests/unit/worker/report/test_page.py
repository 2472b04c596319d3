"""The page says what was found, loudly where it is bad, and needs nothing from outside."""

import re

import pytest
import torch
from findings import findings, island, system

from atoll_worker.report.curves import scale_of, worth_showing
from atoll_worker.report.document import (
    Findings,
    IslandRounds,
    Mergeability,
    MergingFacts,
    Report,
    RunFacts,
    StepWire,
    metrics,
)
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
    assert html.count("<svg") == 4 + 2  # one more an island


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


def test_bytes_are_added_up_by_peer_and_direction() -> None:
    wires = tuple(
        StepWire(step=f"island-{it}", peer="hub", sent_bytes=1_000 * it, received_bytes=7)
        for it in (1, 2)
    )
    html = rendered(findings(), RunFacts(job="digits", uid="0", wires=wires))
    total = html[html.index('<tr class="sum">') :]
    assert total.index("3.0 kB") < total.index("14 B") < total.index("</tr>")
    assert "background-size: 50% 100%" in html
    assert "background-size: 100% 100%" in html


def test_islands_stand_side_by_side_and_of_many_the_worst() -> None:
    many = [island(it, final_holdout_loss=float(it)) for it in range(40)]
    many[2] = island(2, gate_passed=False, final_holdout_loss=0.1)
    shown = worth_showing(many)
    assert [it.island for it in shown] == [2, *range(17, 40)]
    html = rendered(findings(islands=tuple(many)))
    side = html[html.index("Islands side by side") :]
    assert "24 of 40 islands" in side
    assert side.count('<figure class="card">') == 24
    assert side.count("gate failed") == 1


def test_pictures_side_by_side_have_one_scale() -> None:
    low = island(0, loss_curve=((1.0, 0.02), (2.0, 0.01)), final_holdout_loss=None)
    high = island(1, initial_holdout_loss=9.0)
    assert scale_of((low, high, None)) == (0.01, 9.0)
    assert scale_of(()) == (0.1, 1.0)
    assert scale_of((island(0, loss_curve=((1.0, -3.0),), initial_holdout_loss=None),)) == (
        0.7,
        0.7,
    )


def test_a_job_that_merges_shows_its_gap() -> None:
    points = tuple(
        Mergeability(
            step=step,
            islands=2,
            local={"loss": 1.0},
            merged={"loss": 0.9},
            gap=-0.1,
            consensus_distance=0.01,
        )
        for step in (10, 20)
    )
    rounds = tuple(IslandRounds(island=it, merges=2, snapshots=2) for it in range(2))
    merging = MergingFacts(
        strategy="IterativeMerge",
        graph="Ring",
        rounds=2,
        spectral_gap=0.5,
        weights="Uniform",
        reestimated=False,
        mergeability=points,
        islands=rounds,
    )
    html = rendered(findings(merging=merging))
    assert "below the line, merging helps" in html
    assert html.index("Mergeability") < html.index("below the line")


def test_the_page_has_a_place_for_times_and_no_time(html: str) -> None:
    assert "<!-- timeline -->\n<!-- /timeline -->" in html
    assert "<h2>Timeline</h2>" not in html


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
