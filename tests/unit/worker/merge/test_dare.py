"""DARE: unbiased, and drawn from the seed, the tensor's name and the model alone."""

import numpy as np

from atoll_worker.merge.dare import Dare
from atoll_worker.merge.pieces import Whole, merged

ONES = np.ones(64, np.float32)
ZEROS = np.zeros(64, np.float32)


def test_what_is_drawn_has_the_change_for_its_expectation() -> None:
    base, change = np.ones(2000), np.linspace(-1, 1, 2000)
    draws = [merged(Dare([1], 0.2, seed), "w", [base, base + change]) for seed in range(200)]
    error = np.mean(draws, axis=0) - base - change
    # The variance of one draw is change^2 (1 - p) / p = 4 change^2.
    assert bool((np.abs(error) <= 6 * np.abs(change) * (4 / 200) ** 0.5 + 1e-9).all())
    assert abs(error.mean()) < 0.005


def test_a_share_stays_and_is_rescaled() -> None:
    found = merged(Dare([1], 0.25, 0), "w", [np.zeros(10_000), np.ones(10_000)])
    assert set(found.tolist()) == {0, 4}
    assert abs(np.count_nonzero(found) / 10_000 - 0.25) < 0.02


def test_the_draw_depends_on_seed_name_and_model_and_on_nothing_else() -> None:
    def drawn(name: str = "w", seed: int = 0, models: int = 1) -> list[float]:
        method = Dare([1.0] * models, 0.5, seed)
        return list(merged(method, name, [ZEROS, *[ONES] * models]).tolist())

    assert drawn() == drawn()
    assert drawn(seed=1) != drawn()
    assert drawn(name="v") != drawn()
    assert 1 in drawn(models=2)  # one of two kept it: their masks differ


def test_known_draws() -> None:
    """Pinned: a seed means the same for ever."""
    found = merged(Dare([1], 0.5, 7), "w", [ZEROS[:16], ONES[:16]])
    assert "".join(str(int(it)) for it in found) == "2200220020022220"


def test_pieces_have_the_bits_of_the_whole() -> None:
    base = np.random.default_rng(0).normal(size=64).astype(np.float32)
    whole = merged(Dare([1], 0.5, 3), "w", [base, ONES])
    rule = Dare([1], 0.5, 3).rule(Whole("w", 64, np.float32, lambda: iter([])))
    parts = [rule([base[:33], ONES[:33].copy()]), rule([base[33:], ONES[33:].copy()])]
    assert np.concatenate(parts).tobytes() == whole.tobytes()


def test_if_all_stays_it_is_the_mean_of_changes() -> None:
    found = merged(Dare([1, 3], 1, 0), "w", [ONES, ONES * 2, ONES * 4])
    assert set(found.tolist()) == {3.5}
