"""What a child process is told by its environment."""

from pathlib import Path

from atoll_operator.local.environment import hub_environment, worker_environment


def test_threads_are_fixed_and_the_lifeline_is_announced() -> None:
    env = worker_environment({"OMP_NUM_THREADS": "8", "HOME": "/home"}, 2, ())

    assert env["OMP_NUM_THREADS"] == env["MKL_NUM_THREADS"] == "2"
    assert env["HOME"] == "/home"
    assert env["ATOLL_LIFELINE"] == "1"
    assert "PYTHONPATH" not in env


def test_a_shell_does_not_choose_the_kernels() -> None:
    env = worker_environment({"OPENBLAS_CORETYPE": "Haswell", "OPENBLAS_NUM_THREADS": "8"}, 1, ())

    assert {name: it for name, it in env.items() if name.startswith("OPENBLAS_")} == {
        "OPENBLAS_NUM_THREADS": "1"
    }


def test_what_was_importable_stays_so() -> None:
    env = worker_environment({"PYTHONPATH": "/mine"}, 1, (Path("/job"), Path("/here")))

    assert env["PYTHONPATH"] == "/mine:/job:/here"


def test_the_allocator_is_set_unless_the_user_did() -> None:
    for made in (hub_environment, lambda inherited: worker_environment(inherited, 1, ())):
        assert made({})["MALLOC_ARENA_MAX"] == "1"
        own = made({"MALLOC_ARENA_MAX": "4"})
        assert own["MALLOC_ARENA_MAX"] == "4"
        assert own["MALLOC_TRIM_THRESHOLD_"] == "67108864"
