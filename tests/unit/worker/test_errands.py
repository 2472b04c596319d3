"""What is done beside the training: one at a time, the newest that waits, and a wait for its end."""

import threading

from atoll_worker.errands import ThreadOfErrands


def test_whoever_waits_for_the_end_sees_what_was_given() -> None:
    errands, done = ThreadOfErrands("test"), list[int]()
    for number in range(3):
        errands.give(lambda number=number: done.append(number))  # type: ignore[misc]
        errands.finish()
    errands.close()
    assert done == [0, 1, 2]


def test_the_newest_replaces_the_one_that_waits() -> None:
    errands, done, gate = ThreadOfErrands("test"), list[str](), threading.Event()
    begun = threading.Event()

    def first() -> None:
        begun.set()
        gate.wait()
        done.append("first")

    errands.give(first)
    begun.wait()
    errands.give(lambda: done.append("replaced"))
    errands.give(lambda: done.append("newest"))
    gate.set()
    errands.finish()
    errands.close()
    assert done == ["first", "newest"]


def test_what_waits_at_the_end_is_not_begun() -> None:
    errands, done, gate = ThreadOfErrands("test"), list[str](), threading.Event()
    begun = threading.Event()

    def first() -> None:
        begun.set()
        gate.wait()

    errands.give(first)
    begun.wait()
    errands.give(lambda: done.append("late"))
    errands.close()
    gate.set()
    errands.finish()
    assert done == []
