"""What answers a question: an ensemble under a rule, with experts that may be missing."""

import pytest
import torch
from torch import Tensor, nn

from atoll_api.spec.strategy import Combine, Threshold, TopK
from atoll_api.spec.task import DiffusionTask as DiffusionSettings
from atoll_worker.ensemble import combine
from atoll_worker.ensemble.router import RouterNet
from atoll_worker.evaluate.rules import names_to_score, rule_named, settings_of
from atoll_worker.evaluate.scoring import spread
from atoll_worker.evaluate.systems import Asked, Ensemble, System, prior_table
from atoll_worker.tasks.base import Inputs, SampleSpec
from atoll_worker.tasks.diffusion import DiffusionTask
from atoll_worker.train.flops import forward_flops


class Constant(nn.Module):
    """An expert whose velocity is one number everywhere."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def forward(self, x_BD: Tensor, _time_B: Tensor, _label_B: Tensor | None) -> Tensor:
        return torch.full_like(x_BD, self.value)


def ensemble(*values: float | None, prior: list[list[float]] | None = None) -> Ensemble:
    experts = [None if value is None else Constant(value) for value in values]
    router = RouterNet(SampleSpec((2,), 0), len(values), 8, 1)
    shares = torch.tensor(prior or [[1.0] * len(values)])
    return Ensemble(DiffusionTask(DiffusionSettings()), experts, router, shares)


def answers(of: Ensemble, rule: combine.Rule, asked: Asked) -> list[float]:
    system = System(of, rule, asked, torch.Generator().manual_seed(0))
    x, time = torch.zeros(len(asked.island_B), 2), torch.full((len(asked.island_B),), 0.5)
    with torch.inference_mode():
        answer = system.predict(Inputs(x, x, time, asked.label_B))
    found: list[float] = answer[:, 0].tolist()
    return found


def test_the_prior_counts_samples_by_class_and_part() -> None:
    island, label = torch.tensor([0, 0, 1, 1, 1]), torch.tensor([0, 1, 1, 1, 1])
    assert prior_table(island, label, 2, 2).tolist() == [[1, 0], [1, 3]]
    assert prior_table(island, None, 2, 0).tolist() == [[2, 3]]


def test_sticky_draws_the_part_from_what_the_class_allows() -> None:
    told = Asked(torch.tensor([0] * 20 + [1] * 20), torch.zeros(40, dtype=torch.int64))
    of = ensemble(1.0, 2.0, prior=[[5.0, 0.0], [0.0, 5.0]])
    assert answers(of, combine.Sticky(), told) == [1.0] * 20 + [2.0] * 20


@pytest.mark.parametrize(
    "rule", [combine.Full(), combine.TopK(2), combine.Sample(), combine.Sticky(), combine.Oracle()]
)
def test_a_lost_expert_is_never_asked_and_the_rest_answer_for_it(rule: combine.Rule) -> None:
    asked = Asked(None, torch.tensor([0, 1, 2, 1]))
    for value in answers(ensemble(1.0, None, 3.0), rule, asked):
        assert 1.0 <= value <= 3.0 + 1e-6


def test_oracle_sends_samples_of_a_lost_part_to_the_likeliest_other() -> None:
    asked = Asked(None, torch.tensor([0, 1, 2]))
    of = ensemble(1.0, None, 3.0, prior=[[1.0, 5.0, 2.0]])
    assert answers(of, combine.Oracle(), asked) == [1.0, 3.0, 3.0]


def test_a_rule_takes_its_settings_from_a_strategy_of_its_own_type_only() -> None:
    three = Combine(type="TopK", top_k=TopK(k=3))
    fifth = Combine(type="Threshold", threshold=Threshold(minimum=0.2))
    assert rule_named("TopK", three) == combine.TopK(3)
    assert rule_named("TopK", fifth) == combine.TopK(1)
    assert rule_named("Threshold", fifth) == combine.Threshold(0.2)
    assert rule_named("Threshold", three) == combine.Threshold(0.1)
    assert settings_of(combine.TopK(3)) == {"k": 3}
    assert settings_of(combine.Full()) == {}


def test_the_strategy_that_the_job_chose_is_always_scored() -> None:
    assert names_to_score(("TopK", "Full"), Combine(type="Full")) == ("TopK", "Full")
    assert names_to_score(("TopK",), Combine(type="Sticky")) == ("Sticky", "TopK")


def test_flops_of_a_linear_layer_are_two_a_weight_and_sample() -> None:
    layer, x = nn.Linear(8, 4, bias=False), torch.zeros(3, 8)
    assert forward_flops(lambda: layer(x)) == 2 * 8 * 4 * 3


def test_the_spread_of_one_seed_has_no_deviation() -> None:
    assert spread([2.0]).sd == 0
    assert spread([1.0, 3.0]).mean == 2
    assert spread([1.0, 3.0]).sd == pytest.approx(2**0.5)
