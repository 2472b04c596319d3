"""Seeds are the same for ever, and differ for different purposes."""

from hypothesis import given
from hypothesis import strategies as st

from atoll_worker.train.seeds import derive


def test_seeds_are_those_of_every_release() -> None:
    assert derive(0, "expert") == 4128594059769511664
    assert derive(7, "expert", 3, 1999) == 1421258110162835427


@given(
    a=st.tuples(st.integers(0, 99), st.sampled_from(["init", "expert"]), st.integers(0, 99)),
    b=st.tuples(st.integers(0, 99), st.sampled_from(["init", "expert"]), st.integers(0, 99)),
    step=st.integers(0, 10**8),
)
def test_only_equal_arguments_share_a_seed(
    a: tuple[int, str, int], b: tuple[int, str, int], step: int
) -> None:
    assert (derive(*a, step) == derive(*b, step)) is (a == b)
    assert 0 <= derive(*a, step) < 2**63
