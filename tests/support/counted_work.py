"""How much work something is, as a number that is the same each time: calls of functions."""

import sys
from collections.abc import Callable


def calls_of(work: Callable[[], object]) -> int:
    """Of Python's functions and of C's, the second time that it is done."""
    found = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal found
        found += event in ("call", "c_call")

    work()  # what is remembered after the first time is not counted
    before = sys.getprofile()
    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(before)
    return found


def growth(work: Callable[[int], Callable[[], object]], few: int, many: int) -> float:
    """How many times more calls there are, in the ratio of the sizes: 1 is linear."""
    return calls_of(work(many)) / calls_of(work(few)) / (many / few)
