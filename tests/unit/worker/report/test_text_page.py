"""The page and the verdict of a job of text."""

from typing import Any

from findings import findings, island, system

from atoll_worker.report.document import Continuation, Findings, TextFacts, metrics
from atoll_worker.report.verdict import judge


def scored(name: str, bits: float, **changes: Any) -> Any:
    return system(name, holdout_loss=bits * 0.6931, measures={"bitsPerByte": bits}, **changes)


def text_findings(**changes: Any) -> Findings:
    facts = TextFacts(
        router="Centroid",
        settings={"prefix": 64.0, "temperature": 0.1},
        scored_texts=20,
        agreement=0.8,
        temperature=0.8,
        examples=(("def f():", "<b>bold</b>"), ("a b",)),
        continuations=(Continuation(system="Full", prompt="def ", text="g(): pass"),),
    )
    said: dict[str, Any] = {
        "systems": (scored("Baseline", 3.5), scored("Full", 3.4)),
        "router": None,
        "text": facts,
        "sampling": None,
    }
    return findings(**{**said, **changes})


def test_metrics_tell_bits_per_byte() -> None:
    told = {(it.model, it.name): it.value for it in metrics(text_findings())}
    assert told["Full", "BitsPerByte"] == "3.4000"
    assert told["Baseline", "HoldoutLoss"] == "2.4259"


def test_the_verdict_is_in_bits_per_byte_and_names_the_control() -> None:
    systems = [scored("Baseline", 3.5), scored("Full", 3.4), scored("Average", 3.9)]
    verdict = judge(systems[1], systems[0], [island(0)], systems)
    assert verdict.outcome == "Better"
    assert "bits per byte 3.400 against 3.500" in verdict.sentence
    assert any("comes to bits per byte 3.900" in note for note in verdict.notes)


def test_routing_that_adds_nothing_is_told() -> None:
    systems = [scored("Baseline", 3.5), scored("Full", 3.4), scored("Uniform", 3.3)]
    verdict = judge(systems[1], systems[0], [island(0)], systems)
    assert any("the routing adds nothing here" in note for note in verdict.notes)


def test_findings_of_text_survive_json() -> None:
    found = text_findings()
    assert Findings.from_document(found.to_document()) == found
    assert "router" not in found.to_document()
