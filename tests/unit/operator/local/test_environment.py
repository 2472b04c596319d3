"""What a child process is told by its environment."""

from pathlib import Path

from atoll_operator.local.environment import hub_environment, worker_environment


def test_threads_are_fixed_and_the_lifeline_is_announced() -> None:
    env = worker_environment({"OMP_NUM_THREADS": "8", "HOME": "/home"}, 2, ())

    assert env["OMP_NUM_THREADS"] == env["MKL_NUM_THREADS"] == "2"
    assert env["HOME"] == "/home"
    assert env["ATOLL_LIFELINE"] == "1"
    assert "PYTHONPATH" not in env


def test_what_was_importable_stays_so() -> None:
    env = worker_environment({"PYTHONPATH": "/mine"}, 1, (Path("/job"), Path("/here")))

    assert env["PYTHONPATH"] == "/mine:/job:/here"


def test_only_the_hub_gets_the_bulk_allocator() -> None:
    assert hub_environment({})["MALLOC_ARENA_MAX"] == "1"
    assert "MALLOC_ARENA_MAX" not in worker_environment({}, 1, ())
