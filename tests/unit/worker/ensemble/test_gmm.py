"""The ensemble identity and the behaviour of each rule, on a mixture whose flow is known."""

from functools import partial
from typing import Literal

import pytest
import torch
from gmm import Mixture, eight_parts
from torch import Tensor

from atoll_worker.ensemble import combine
from atoll_worker.ensemble.router import probabilities, renormalised
from atoll_worker.ensemble.samplers import integrate
from atoll_worker.tasks.base import Inputs

MIXTURE = eight_parts()
PARTS = MIXTURE.num_parts
METHODS: tuple[Literal["Euler", "Heun"], ...] = ("Euler", "Heun")
TIMES = (0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 1.0)


def inputs_at(x: Tensor, time: Tensor) -> Inputs:
    return Inputs(x, torch.zeros_like(x), time, None)


def experts(mixture: Mixture) -> list[combine.Predict]:
    def expert(part: int) -> combine.Predict:
        return lambda inputs: mixture.part_velocity(part, inputs.x_BD, inputs.time_B)

    return [expert(part) for part in range(mixture.num_parts)]


def probe(time: float) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    x, _ = MIXTURE.draw(64, generator)
    noise = torch.randn(x.shape, dtype=x.dtype, generator=generator)
    return (1 - time) * x + time * noise, torch.full((64,), time, dtype=x.dtype)


def sample(rule: combine.Rule | None, count: int = 800) -> tuple[Tensor, float]:
    """Samples under a rule (None: the uniform average), and the mean of active experts."""
    generator = torch.Generator().manual_seed(7)
    noise = torch.randn(count, 2, dtype=torch.float64, generator=generator)
    mixture = combine.Mixture(experts(MIXTURE))
    prior_BK = MIXTURE.prior_K.expand(count, PARTS)
    choice = combine.begin(rule, prior_BK, None, generator) if rule else None

    def velocity(x: Tensor, time: Tensor) -> Tensor:
        routed = probabilities(MIXTURE.part_log_joint(x, time))
        uniform = torch.full_like(routed, 1 / PARTS)
        weight = combine.weights(choice, routed, generator) if choice else uniform
        return mixture.predict(inputs_at(x, time), weight)

    return integrate(velocity, noise, 50, "Euler"), mixture.cost.mean_active


def part_variation(x: Tensor) -> float:
    """Total variation between the parts the samples fall in and the parts' true shares."""
    part = MIXTURE.part_log_joint(x, torch.zeros(len(x), dtype=x.dtype)).argmax(1)
    share = torch.bincount(part, minlength=PARTS) / len(x)
    return float((share - MIXTURE.prior_K).abs().sum() / 2)


def sliced_distance(x: Tensor) -> float:
    """Sliced Wasserstein-1 distance to as many exact samples."""
    generator = torch.Generator().manual_seed(11)
    exact, _ = MIXTURE.draw(len(x), generator)
    angle = torch.rand(32, dtype=torch.float64, generator=generator) * torch.pi
    direction = torch.stack((angle.cos(), angle.sin()))
    gap = (x @ direction).sort(0).values - (exact @ direction).sort(0).values
    return float(gap.abs().mean())


@pytest.mark.parametrize("time", TIMES)
def test_the_routed_sum_of_the_experts_is_the_marginal_velocity(time: float) -> None:
    x, t = probe(time)
    weight = probabilities(MIXTURE.part_log_joint(x, t))
    routed = combine.Mixture(experts(MIXTURE)).predict(inputs_at(x, t), weight)
    assert (routed - MIXTURE.velocity(x, t)).abs().max() < 1e-10


@pytest.mark.parametrize("time", TIMES)
@pytest.mark.parametrize("lost", [0, 5])
def test_renormalising_without_an_expert_is_the_flow_of_the_data_without_its_part(
    time: float, lost: int
) -> None:
    x, t = probe(time)
    present_K = torch.arange(PARTS) != lost
    weight = probabilities(MIXTURE.part_log_joint(x, t), present_K)
    routed = combine.Mixture(experts(MIXTURE)).predict(inputs_at(x, t), weight)
    exact = MIXTURE.velocity(x, t, present_K[MIXTURE.part_J])
    assert (weight[:, lost] == 0).all()
    assert (routed - exact).abs().max() < 1e-10


def test_the_router_is_as_right_as_it_says_and_less_so_with_more_noise() -> None:
    generator = torch.Generator().manual_seed(3)
    accuracies = []
    for time in (0.2, 0.6, 1.0):
        x, j = MIXTURE.draw(4000, generator)
        x = (1 - time) * x + time * torch.randn(x.shape, dtype=x.dtype, generator=generator)
        t = torch.full((4000,), time, dtype=x.dtype)
        best = probabilities(MIXTURE.part_log_joint(x, t)).max(1)
        accuracies.append(float((best.indices == MIXTURE.part_J[j]).double().mean()))
        assert accuracies[-1] == pytest.approx(float(best.values.mean()), abs=0.03)
    assert accuracies[0] > accuracies[1] > accuracies[2]
    assert accuracies[2] == pytest.approx(float(MIXTURE.prior_K.max()), abs=0.03)


def test_full_threshold_sample_and_sticky_reproduce_the_distribution() -> None:
    for rule in (combine.Full(), combine.Threshold(0.05), combine.Sample(), combine.Sticky()):
        x, _ = sample(rule)
        assert part_variation(x) < 0.1, rule
        assert sliced_distance(x) < 0.6, rule


def test_unconditional_top_1_collapses_and_the_uniform_average_is_worse_still() -> None:
    full, _ = sample(combine.Full())
    top_1, active = sample(combine.TopK(1))
    uniform, _ = sample(None)
    assert active == 1.0
    assert part_variation(top_1) > 4 * part_variation(full)
    assert sliced_distance(top_1) > 3 * sliced_distance(full)
    assert part_variation(uniform) > part_variation(top_1)
    assert sliced_distance(uniform) > sliced_distance(top_1)


def test_fewer_experts_are_evaluated_where_the_rule_says_so() -> None:
    active = {
        type(rule).__name__: sample(rule, 100)[1]
        for rule in (combine.Full(), combine.TopK(3), combine.Threshold(0.05), combine.Sticky())
    }
    assert PARTS - 1 < active["Full"] <= PARTS  # a weight that underflows to 0 costs nothing
    assert 2.9 < active["TopK"] <= 3
    assert 1 < active["Threshold"] < PARTS
    assert active["Sticky"] == 1


def test_a_sticky_trajectory_is_the_flow_of_one_part() -> None:
    generator = torch.Generator().manual_seed(0)
    kept = torch.tensor([2, 5, 2, 0])
    noise = torch.randn(4, 2, dtype=torch.float64, generator=generator)
    choice = combine.Choice(combine.Sticky(), kept)
    mixture = combine.Mixture(experts(MIXTURE))

    def velocity(x: Tensor, time: Tensor) -> Tensor:
        weight = combine.weights(choice, torch.zeros(4, PARTS, dtype=x.dtype), generator)
        return mixture.predict(inputs_at(x, time), weight)

    together = integrate(velocity, noise, 20, "Heun")
    for row, part in enumerate(kept.tolist()):
        velocity_of_part = partial(MIXTURE.part_velocity, part)
        alone = integrate(velocity_of_part, noise[row : row + 1], 20, "Heun")
        assert torch.allclose(together[row : row + 1], alone, atol=1e-12)


def test_heun_is_more_accurate_than_euler_at_the_same_steps() -> None:
    noise = torch.randn(64, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    exact = integrate(MIXTURE.velocity, noise, 800, "Heun")
    error = {m: (integrate(MIXTURE.velocity, noise, 25, m) - exact).norm() for m in METHODS}
    assert error["Heun"] < error["Euler"]


def test_a_prior_without_a_present_part_becomes_uniform_over_the_present_ones() -> None:
    prior = torch.tensor([[0.5, 0.5, 0.0], [0.2, 0.2, 0.6]])
    kept = renormalised(prior, torch.tensor([False, False, True]))
    assert kept.tolist() == [[0, 0, 1], [0, 0, 1]]
    two = renormalised(prior, torch.tensor([True, False, True]))
    assert torch.allclose(two, torch.tensor([[1, 0, 0], [0.25, 0, 0.75]]))


def test_no_expert_is_no_ensemble() -> None:
    with pytest.raises(ValueError, match="at least one expert"):
        probabilities(torch.zeros(1, 2), torch.tensor([False, False]))
