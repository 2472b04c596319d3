"""The page of all figures: made of what is kept, and silent about no target that is missed."""

import json
from pathlib import Path

import pytest

from tools.benchmarks import page as pages
from tools.benchmarks.catalogue import BENCHMARKS, HEADLINES, PEERS, Benchmark, find
from tools.benchmarks.results import ROOT, Figure, Result, figures_of

MET = Figure("empty round: median", 8.5, "ms", 10.0, met=True, runs=(8.0, 8.5, 30.0))
MISSED = Figure("CPU of both ends", 1.31, "s/GB", 1.1, met=False, runs=(1.28, 1.31))


def result(*figures: Figure) -> Result:
    return Result("python bench.py", "2026-01-02", "2 cores of a processor", figures)


def described(**fields: object) -> Benchmark:
    return Benchmark("exchange", "benchmarks/x.py", "Moving weights", "About.", **fields)  # type: ignore[arg-type]


def test_a_figure_stands_beside_its_spread_its_target_and_its_command() -> None:
    text = pages.page([(described(arguments=("--with-flower",)), result(MET))])
    assert "    .venv/bin/python benchmarks/x.py --with-flower\n" in text
    assert "| empty round: median | 8.5 ms | 8 to 30 | 3 | 10.0 | met |" in text
    assert "2026-01-02, 2 cores of a processor." in text


def test_what_is_not_measured_is_said() -> None:
    assert "Nothing is kept of it yet." in pages.page([(described(), None)])


def test_a_missed_target_needs_a_reason_and_shows_it() -> None:
    with pytest.raises(pages.UnexplainedError, match="CPU of both ends"):
        pages.page([(described(), result(MISSED))])
    text = pages.page([(described(missed={MISSED.name: "Python."}), result(MISSED))])
    assert "| 1.1 | **missed** |" in text
    assert "**CPU of both ends**: Python." in text


def test_a_reason_without_a_miss_is_refused() -> None:
    with pytest.raises(pages.UnexplainedError):
        pages.page([(described(missed={MET.name: "It was slow once."}), result(MET))])


def test_a_result_is_read_as_it_was_kept(tmp_path: Path) -> None:
    result(MET, MISSED).save("exchange", tmp_path)
    assert Result.load("exchange", tmp_path) == result(MET, MISSED)
    assert Result.load("absent", tmp_path) is None


def test_figures_are_read_as_benchmarks_write_them() -> None:
    document = [{"name": "a", "value": 1, "unit": "1", "target": "> 0", "met": True, "runs": [1]}]
    assert figures_of(json.dumps(document)) == (Figure("a", 1, "1", "> 0", met=True, runs=(1,)),)


@pytest.mark.parametrize(
    ("value", "said"), [(0.0, "0"), (0.0946, "0.0946"), (8.512, "8.51"), (1234.5, "1,234")]
)
def test_three_digits_count(value: float, said: str) -> None:
    assert pages.number(value) == said


def test_every_benchmark_is_there_and_every_headline_names_one() -> None:
    absent = [it.script for it in BENCHMARKS if not (ROOT / it.script).exists()]
    assert absent == []
    assert {it.benchmark for it in HEADLINES} <= {it.name for it in BENCHMARKS}
    assert all(find(name) for name in PEERS)


def test_the_readme_keeps_what_is_around_its_figures() -> None:
    readme = f"before\n{pages.BEGIN}\nold\n{pages.END}\nafter\n"
    block = f"{pages.BEGIN}\nnew\n{pages.END}"
    assert pages.with_headlines(readme, block) == f"before\n{block}\nafter\n"
