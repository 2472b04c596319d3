"""Quorum, deadline and retention: each choice and its sentence."""

import pytest

from atoll_api.spec.artifacts import Artifacts
from atoll_api.spec.islands import Islands
from atoll_api.spec.policy import RunPolicy
from atoll_operator.plan.policies.deadline import deadline
from atoll_operator.plan.policies.quorum import quorum
from atoll_operator.plan.policies.retention import retention


@pytest.mark.parametrize(
    ("count", "required", "lost", "possible"),
    [(4, None, 0, True), (4, None, 1, False), (4, 3, 1, True), (4, 3, 2, False), (1, 1, 1, False)],
)
def test_quorum(count: int, required: int | None, lost: int, *, possible: bool) -> None:
    failures = tuple(f"island-{i} failed" for i in range(lost))

    choice = quorum(Islands(count=count, quorum=required), failures)

    assert choice.possible is possible
    assert f"{count - lost} of {count} islands are left" in choice.why
    assert all(line in choice.why for line in failures)


def test_quorum_names_a_few_of_many_failures() -> None:
    why = quorum(Islands(count=1000), tuple(f"island-{i} failed" for i in range(900))).why

    assert "island-4 failed; and 895 more" in why
    assert "island-5" not in why


@pytest.mark.parametrize(
    ("limit", "now", "exceeded"),
    [(None, 1e12, False), (60, 159.9, False), (60, 160.0, True), (60, 90.0, False)],
)
def test_deadline(limit: int | None, now: float, *, exceeded: bool) -> None:
    choice = deadline(RunPolicy(active_deadline_seconds=limit), 100.0, now)

    assert choice.exceeded is exceeded
    assert choice.why


@pytest.mark.parametrize(
    ("keep", "done", "complete", "dropped"),
    [
        ("Final", (), False, {"checkpoints/a/1"}),
        ("All", (), False, {"checkpoints/a/1"}),
        ("Final", ("a",), False, {"checkpoints/a/1", "checkpoints/a/2", "checkpoints/a/10"}),
        ("All", ("a",), False, {"checkpoints/a/1"}),
        (
            "Final",
            ("a",),
            True,
            {"checkpoints/a/1", "checkpoints/a/2", "checkpoints/a/10", "checkpoints/b/5"},
        ),
        ("All", ("a",), True, {"checkpoints/a/1"}),
    ],
)
def test_retention(keep: str, done: tuple[str, ...], dropped: set[str], *, complete: bool) -> None:
    bound = [f"checkpoints/a/{n}" for n in (1, 10, 2)] + ["checkpoints/b/5", "experts/0"]
    artifacts = Artifacts.from_document({"keep": keep})

    choice = retention(artifacts, bound, done, complete=complete)  # type: ignore[arg-type]

    assert set(choice.refs) == dropped
    assert choice.why
