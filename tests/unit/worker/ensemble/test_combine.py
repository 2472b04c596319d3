"""Each combine rule by its definition, and who is asked about what."""

import pytest
import torch
from torch import Tensor

from atoll_worker.ensemble import combine
from atoll_worker.ensemble.router import RouterNet, probabilities
from atoll_worker.tasks.base import Inputs, SampleSpec

ROUTED = torch.tensor([[0.7, 0.2, 0.1, 0.0], [0.05, 0.05, 0.05, 0.85], [0.25, 0.25, 0.25, 0.25]])
RULES = (
    combine.Full(),
    combine.TopK(2),
    combine.TopK(9),
    combine.Threshold(0.1),
    combine.Sample(),
    combine.Sticky(),
    combine.Oracle(),
)


def weights(rule: combine.Rule, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    choice = combine.begin(rule, ROUTED, torch.tensor([3, 2, 1]), generator)
    return combine.weights(choice, ROUTED, generator)


@pytest.mark.parametrize("rule", RULES)
def test_the_weights_of_a_sample_sum_to_one(rule: combine.Rule) -> None:
    assert torch.allclose(weights(rule).sum(dim=1), torch.ones(3))
    assert weights(rule).min() >= 0


def test_top_k_keeps_the_k_most_probable_in_their_proportions() -> None:
    assert weights(combine.TopK(2))[0].tolist() == pytest.approx([7 / 9, 2 / 9, 0, 0])
    assert torch.equal(weights(combine.TopK(9)), ROUTED)


def test_threshold_keeps_the_most_probable_even_below_the_minimum() -> None:
    kept = weights(combine.Threshold(0.9))
    assert (kept > 0).sum(dim=1).tolist() == [1, 1, 1]
    assert kept[0, 0] == kept[1, 3] == 1
    assert weights(combine.Threshold(0.1))[0].tolist() == pytest.approx([0.7, 0.2, 0.1, 0])


def test_oracle_takes_the_part_it_is_told() -> None:
    assert weights(combine.Oracle()).argmax(dim=1).tolist() == [3, 2, 1]
    with pytest.raises(ValueError, match="the part of each sample"):
        combine.begin(combine.Oracle(), ROUTED, None, torch.Generator())


def test_sticky_draws_once_and_sample_draws_each_step_in_the_given_proportions() -> None:
    generator = torch.Generator().manual_seed(0)
    prior = torch.tensor([0.6, 0.3, 0.1]).expand(4000, 3)
    sticky = combine.begin(combine.Sticky(), prior, None, generator)
    drawn = combine.begin(combine.Sample(), prior, None, generator)
    first, second = (combine.weights(sticky, prior, generator) for _ in range(2))
    assert torch.equal(first, second)
    again = [combine.weights(drawn, prior, generator) for _ in range(2)]
    assert not torch.equal(*again)
    for one in (first, *again):
        assert one.mean(dim=0).tolist() == pytest.approx([0.6, 0.3, 0.1], abs=0.04)


def test_only_the_rules_that_look_at_the_router_need_it() -> None:
    assert [combine.needs_router(rule) for rule in RULES] == [True] * 5 + [False] * 2


def test_an_expert_is_asked_only_about_the_samples_it_counts_for() -> None:
    asked: list[tuple[int, list[float]]] = []

    def expert(k: int) -> combine.Predict:
        def predict(inputs: Inputs) -> Tensor:
            assert inputs.label_B is not None
            assert inputs.label_B.tolist() == inputs.time_B.tolist()
            asked.append((k, inputs.x_BD[:, 0].tolist()))
            return inputs.x_BD * (k + 1)

        return predict

    x, index = torch.arange(3.0)[:, None] + 1, torch.arange(3)
    inputs = Inputs(x, torch.zeros(3, 1), index.float(), index)
    mixture = combine.Mixture([expert(k) for k in range(3)])
    weight = torch.tensor([[1.0, 0, 0], [0.5, 0.5, 0], [0, 1.0, 0]])
    answer = mixture.predict(inputs, weight)
    assert asked == [(0, [1.0, 2.0]), (1, [2.0, 3.0])]
    assert answer[:, 0].tolist() == [1.0, 0.5 * 2 + 0.5 * 4, 6.0]
    assert mixture.cost.mean_active == pytest.approx(4 / 3)


def test_the_router_answers_one_logit_an_island_and_uses_the_label_it_is_told() -> None:
    torch.manual_seed(0)
    router = RouterNet(SampleSpec((1, 4, 4), 10), 3, 16, 2)
    x, time = torch.randn(5, 1, 4, 4), torch.rand(5)
    zero, nine = torch.zeros(5, dtype=torch.int64), torch.full((5,), 9)
    assert router(x, time).shape == (5, 3)
    assert not torch.allclose(router(x, time, zero), router(x, time, nine))


def test_probabilities_of_present_experts_keep_their_proportions() -> None:
    logits = torch.tensor([[1.0, 2.0, 3.0]])
    whole = probabilities(logits)
    part = probabilities(logits, torch.tensor([True, False, True]))
    assert part[0, 1] == 0
    assert torch.allclose(part[0, 0] / part[0, 2], whole[0, 0] / whole[0, 2])
