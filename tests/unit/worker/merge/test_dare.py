"""DARE: unbiased, and drawn from the seed, the tensor's name and the model alone."""

import torch

from atoll_worker.merge.dare import Dare, dare
from atoll_worker.merge.pieces import Whole


def test_what_is_drawn_has_the_change_for_its_expectation() -> None:
    base, change = torch.ones(2000), torch.linspace(-1, 1, 2000)
    draws = [dare("w", base, [base + change], Dare([1], 0.2, seed)) - base for seed in range(200)]
    mean = torch.stack(draws).double().mean(0)
    # The variance of one draw is change^2 (1 - p) / p = 4 change^2.
    assert bool(((mean - change).abs() <= 6 * change.abs() * (4 / 200) ** 0.5 + 1e-6).all())
    assert abs(float((mean - change).mean())) < 0.005


def test_a_share_stays_and_is_rescaled() -> None:
    found = dare("w", torch.zeros(10_000), [torch.ones(10_000)], Dare([1], 0.25, 0))
    assert sorted(set(found.tolist())) == [0, 4]
    assert abs(float((found != 0).float().mean()) - 0.25) < 0.02


def test_the_draw_depends_on_seed_name_and_model_and_on_nothing_else() -> None:
    base, tensor = torch.zeros(64), torch.ones(64)

    def drawn(name: str = "w", seed: int = 0, models: int = 1) -> list[float]:
        method = Dare([1.0] * models, 0.5, seed)
        return dare(name, base, [tensor] * models, method).tolist()

    assert drawn() == drawn()
    assert drawn(seed=1) != drawn()
    assert drawn(name="v") != drawn()
    assert 1 in drawn(models=2)  # one of two kept it: their masks differ


def test_pieces_have_the_bits_of_the_whole() -> None:
    base, tensor = torch.randn(100, generator=torch.Generator().manual_seed(0)), torch.ones(100)
    whole = dare("w", base, [tensor], Dare([1], 0.5, 3))
    rule = Dare([1], 0.5, 3).rule(Whole("w", 100, torch.float32, lambda: iter([])))
    parts = [rule([base[:33], tensor[:33]]), rule([base[33:], tensor[33:]])]
    assert torch.equal(torch.cat(parts), whole)


def test_all_that_stays_is_the_mean() -> None:
    base, a, b = torch.zeros(3), torch.full((3,), 2.0), torch.full((3,), 4.0)
    assert dare("w", base, [a, b], Dare([1, 3], 1, 0)).tolist() == [3.5] * 3
