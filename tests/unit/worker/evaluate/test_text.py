"""Mixtures of language models that are known exactly: weights, costs, and what they write."""

import pytest
import torch
from torch import Tensor, nn

from atoll_api.spec.strategy import LikelihoodRouter, Router
from atoll_api.spec.task import GptSettings, LanguageArchitecture
from atoll_api.spec.task import LanguageTask as Settings
from atoll_worker.ensemble import combine
from atoll_worker.evaluate.systems import Asked
from atoll_worker.evaluate.text import (
    Reading,
    TextAnswer,
    TextEnsemble,
    Writer,
    averaged_model,
    mixed,
    uniform_answer,
)
from atoll_worker.tasks.base import Batch, Inputs
from atoll_worker.tasks.language import LanguageTask
from atoll_worker.tasks.language.tokenizer import encode

CONTEXT = 16
TASK = LanguageTask(
    Settings(architecture=LanguageArchitecture(type="GPT", gpt=GptSettings(context=CONTEXT)))
)


class Fond(nn.Module):
    """A model that expects one letter next, always, with 0.9; counts how often it is asked."""

    def __init__(self, letter: str) -> None:
        super().__init__()
        likely = torch.full((256,), 0.1 / 255)
        likely[ord(letter)] = 0.9
        self.logits = nn.Parameter(likely.log())
        self.asked = 0
        self.longest = 0

    def forward(self, token_BL: Tensor) -> Tensor:
        self.asked += 1
        self.longest = max(self.longest, token_BL.shape[1])
        return self.logits.expand(*token_BL.shape, -1)


def ensemble(
    *letters: str | None, prior: list[float] | None = None, running: bool = True
) -> TextEnsemble:
    settings = LikelihoodRouter(prefix=4, running=running)
    return TextEnsemble(
        task=TASK,
        experts=[None if letter is None else Fond(letter) for letter in letters],
        router=Router(type="Likelihood", likelihood=settings),
        prior_K=torch.tensor(prior or [1.0] * len(letters)),
        clusters=None,
    )


def inputs_of(*texts: str) -> Inputs:
    return TASK.corrupt(
        Batch(torch.stack([encode(text) for text in texts]), None), torch.Generator()
    )


def answer(of: TextEnsemble, rule: combine.Rule, inputs: Inputs, islands: list[int]) -> Tensor:
    asked = Asked(None, torch.tensor(islands))
    with torch.inference_mode():
        return TextAnswer(of, Reading(of), rule, 0)(inputs, asked)


def test_the_expert_that_foretold_the_text_is_followed() -> None:
    found = answer(ensemble("a", "b"), combine.Full(), inputs_of("aaaaaaaa", "bbbbbbbb"), [0, 1])
    assert found[:, 0].tolist() == pytest.approx([0.5 * 0.9 + 0.5 * 0.1 / 255] * 2, rel=1e-4)
    assert found[:, 3:].min() > 0.89


@pytest.mark.parametrize(("island", "expected"), [(0, 0.9), (1, 0.1 / 255)])
def test_oracle_follows_what_it_is_told(island: int, expected: float) -> None:
    found = answer(ensemble("a", "b"), combine.Oracle(), inputs_of("aaaa"), [island])
    assert found[0].tolist() == pytest.approx([expected] * 3, rel=1e-4)


def test_a_lost_expert_is_not_weighed_and_oracle_takes_the_likeliest_other() -> None:
    of, inputs = ensemble("a", None, "b", prior=[1.0, 5.0, 2.0]), inputs_of("bbbb")
    assert answer(of, combine.Oracle(), inputs, [1])[0, 0] == pytest.approx(0.9, rel=1e-4)
    first = answer(of, combine.Full(), inputs, [0])[0, 0]
    assert first == pytest.approx((0.1 / 255 + 2 * 0.9) / 3, rel=1e-4)


def test_by_likelihood_all_experts_read_and_a_kept_one_reads_alone() -> None:
    of, inputs = ensemble("a", "b", "c"), inputs_of("aaaaaaaa")
    asked = Asked(None, torch.tensor([0]))
    with torch.inference_mode():
        for rule, active in ((combine.TopK(1), 3.0), (combine.Sticky(), 1.0)):
            system = TextAnswer(of, Reading(of), rule, 0)
            system(inputs, asked)
            assert system.mean_active() == active


def test_a_batch_is_read_once_for_all_rules() -> None:
    of, inputs = ensemble("a", "b"), inputs_of("aaaa")
    reading = Reading(of)
    with torch.inference_mode():
        for rule in (combine.Full(), combine.TopK(1), combine.Oracle()):
            TextAnswer(of, reading, rule, 0)(inputs, Asked(None, torch.tensor([0])))
        uniform_answer(of, reading)(inputs, Asked(None, torch.tensor([0])))
    assert [expert.asked for expert in of.experts if isinstance(expert, Fond)] == [1, 1]


def test_uniform_takes_those_that_are_there_alike() -> None:
    of = ensemble("a", None, "b", prior=[9.0, 1.0, 1.0])
    with torch.inference_mode():
        found = uniform_answer(of, Reading(of))(inputs_of("aaaa"), Asked(None, torch.tensor([0])))
    assert found[0].tolist() == pytest.approx([(0.9 + 0.1 / 255) / 2] * 3, rel=1e-4)


def test_weights_a_text_and_weights_a_token_mix_alike() -> None:
    read_KBT = torch.rand(3, 2, 5)
    weight_BK = torch.tensor([[0.2, 0.3, 0.5], [1.0, 0.0, 0.0]])
    each = weight_BK[:, None].expand(2, 5, 3)
    assert torch.allclose(mixed(read_KBT, weight_BK), mixed(read_KBT, each))
    assert torch.allclose(mixed(read_KBT, weight_BK)[1], read_KBT[0, 1])


def test_the_average_is_of_the_weights_and_changes_no_expert() -> None:
    a, b = Fond("a"), Fond("b")
    before = a.logits.detach().clone()
    average = averaged_model([a, b])
    assert torch.allclose(average.state_dict()["logits"], (a.logits + b.logits) / 2)
    assert torch.equal(a.logits, before)


@pytest.mark.parametrize(("prompt", "letter"), [("aaa", "a"), ("bbb", "b")])
@pytest.mark.parametrize("rule", [combine.Full(), combine.TopK(1), combine.Threshold(0.1)])
def test_the_prompt_routes_what_is_written(prompt: str, letter: str, rule: combine.Rule) -> None:
    writer = Writer(TASK, ensemble("a", "b", running=False), rule)
    written = writer.write(encode(prompt)[None], 40, 0.0, torch.Generator())
    assert bytes(written[0].tolist()).decode() == prompt + letter * 40


def test_a_running_posterior_follows_what_was_written() -> None:
    of = ensemble("a", "b", prior=[9.0, 1.0])
    written = Writer(TASK, of, combine.Full()).write(
        encode("bbbb")[None], 3, 0.0, torch.Generator()
    )
    assert bytes(written[0].tolist()).decode() == "bbbbbbb"
    lost = ensemble("a", None)
    written = Writer(TASK, lost, combine.Full()).write(
        encode("bb")[None], 3, 0.0, torch.Generator()
    )
    assert bytes(written[0].tolist()).decode() == "bbaaa"


def test_no_model_is_given_more_than_its_context() -> None:
    of, alone = ensemble("a", "b"), Fond("c")
    prompt = encode("x" * 3 * CONTEXT)[None]
    Writer(TASK, of, combine.Full()).write(prompt, 5, 1.0, torch.Generator().manual_seed(0))
    written = Writer(TASK, None, combine.Full(), alone).write(prompt, 5, 0.0, torch.Generator())
    assert written.shape == (1, 3 * CONTEXT + 5)
    assert alone.longest == CONTEXT
    assert [expert.longest for expert in of.experts if isinstance(expert, Fond)] == [CONTEXT] * 2
