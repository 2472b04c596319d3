"""The language task: what a GPT may see, and what its answers mean."""

import math

import pytest
import torch
from torch import Tensor, nn

from atoll_api.spec.task import GptSettings, LanguageArchitecture
from atoll_api.spec.task import LanguageTask as Settings
from atoll_worker.errors import BadDataError, BadTaskError, ContractError
from atoll_worker.tasks.base import Batch, Inputs, SampleSpec
from atoll_worker.tasks.language import LanguageTask, tokenizer
from atoll_worker.tasks.language.gpt import Gpt
from atoll_worker.train.protocol_check import build_model, try_task

CONTEXT = 16


def task(**settings: int) -> LanguageTask:
    said = {"context": CONTEXT, "width": 16, "layers": 2, "heads": 2, **settings}
    gpt = GptSettings(**said)
    return LanguageTask(Settings(architecture=LanguageArchitecture(type="GPT", gpt=gpt)))


def model_of(of: LanguageTask) -> nn.Module:
    return build_model(of, SampleSpec((of.gpt.context,), 0), seed=0)


def batch(rows: int = 3, length: int = CONTEXT) -> Batch:
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(256, (rows, length), generator=generator)
    return Batch(tokens.to(torch.uint8), None)


def inputs_of(of: LanguageTask, given: Batch) -> Inputs:
    return of.corrupt(given, torch.Generator())


class Foretells(nn.Module):
    """Logits that are the same wherever one asks."""

    def __init__(self, logits_V: Tensor) -> None:
        super().__init__()
        self.logits_V = logits_V

    def forward(self, token_BL: Tensor) -> Tensor:
        return self.logits_V.expand(*token_BL.shape, -1)


def test_it_keeps_the_task_protocol_and_counts_its_attention() -> None:
    of = task()
    inputs, flops = try_task(of, model_of(of), batch())
    assert inputs.target_BD.shape == (3, CONTEXT - 1)
    assert inputs.time_B.tolist() == [0.0] * 3
    linear = 3 * CONTEXT * (2 * 12 * 16 * 16 + 16 * 256)
    assert flops > 6 * linear


def test_the_default_model_has_the_size_that_is_said() -> None:
    assert sum(p.numel() for p in Gpt(GptSettings(), 256).parameters()) == 149_248


def test_names_are_regular_so_that_a_structure_can_be_declared() -> None:
    names = {name for name, _ in model_of(task()).named_parameters()}
    inner = ("norm1", "qkv", "project", "norm2", "mlp.0", "mlp.2")
    expected = {f"blocks.{n}.{i}.{w}" for n in (0, 1) for i in inner for w in ("weight", "bias")}
    outer = {"token.weight", "position.weight", "norm.weight", "norm.bias", "head.weight"}
    assert names == expected | outer


def test_a_later_token_changes_no_earlier_answer() -> None:
    of = task()
    model, given = model_of(of), batch()
    changed = given.x_BD.clone()
    changed[:, 10] ^= 1
    with torch.inference_mode():
        before = of.predict(model, inputs_of(of, given))
        after = of.predict(model, inputs_of(of, Batch(changed, None)))
    assert torch.equal(before[:, :9], after[:, :9])
    assert (before[:, 9:] != after[:, 9:]).any(dim=1).all()


def test_what_may_come_next_is_a_distribution_that_fits_what_came() -> None:
    of = task()
    model, given = model_of(of), batch()
    with torch.inference_mode():
        came_BT, _ = of.read(model, given.x_BD)
        _, next_BV = of.read(model, given.x_BD[:, :7])
    assert next_BV.sum(dim=1).tolist() == pytest.approx([1.0] * 3)
    own = next_BV.gather(1, given.x_BD[:, 7:8].long()).squeeze(1)
    assert own.tolist() == pytest.approx(came_BT[:, 6].tolist(), rel=1e-5)


def test_reading_a_few_rows_at_a_time_changes_nothing() -> None:
    of = task()
    model, inputs = model_of(of), inputs_of(of, batch(70))
    with torch.inference_mode():
        at_once = of.read(model, inputs.x_BD)[0]
        in_parts = of.predict(model, inputs)
    assert in_parts.shape == (70, CONTEXT - 1)
    assert torch.allclose(in_parts, at_once, rtol=1e-5)


def test_a_loss_is_nats_and_a_measure_is_bits() -> None:
    of = task()
    predicted = torch.tensor([[0.5, 0.125], [1.0, 1.0]])
    inputs = Inputs(torch.zeros(2, 3), predicted, torch.zeros(2), None)
    assert of.losses(predicted, inputs).tolist() == pytest.approx([2 * math.log(2), 0.0])
    assert of.measures(predicted, inputs)["bitsPerByte"].tolist() == pytest.approx([2.0, 0.0])


def test_an_answer_that_is_surely_wrong_is_dear_but_finite() -> None:
    of, logits = task(), torch.zeros(256, requires_grad=True)
    sure = torch.zeros(256)
    sure[65] = 1e4
    inputs = inputs_of(of, Batch(torch.full((2, CONTEXT), 66, dtype=torch.uint8), None))
    losses_B = of.losses(of.predict(Foretells(logits + sure), inputs), inputs)
    losses_B.mean().backward()  # type: ignore[no-untyped-call]
    assert losses_B.tolist() == pytest.approx([87.34] * 2, abs=0.01)
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


def test_the_weighted_mean_of_answers_is_the_mixture() -> None:
    of = task()
    inputs = inputs_of(of, batch(4))
    generator = torch.Generator().manual_seed(1)
    a, b = (Foretells(torch.randn(256, generator=generator)) for _ in range(2))
    mixed_V = 0.3 * a.logits_V.softmax(0) + 0.7 * b.logits_V.softmax(0)
    mean_BT = 0.3 * of.predict(a, inputs) + 0.7 * of.predict(b, inputs)
    exact_BT = of.predict(Foretells(mixed_V.log()), inputs)
    assert torch.allclose(mean_BT, exact_BT, rtol=1e-5)


def test_samples_that_are_no_texts_are_refused() -> None:
    with pytest.raises(BadDataError, match=r"shape \(1, 8, 8\) are no texts of 16 tokens"):
        task().build_model(SampleSpec((1, 8, 8), 10))


def test_heads_that_do_not_divide_the_width_are_refused() -> None:
    with pytest.raises(BadTaskError, match="heads is 3, which does not divide the width 16"):
        model_of(task(heads=3))


def test_more_tokens_than_the_context_are_refused() -> None:
    with pytest.raises(ContractError, match="17 tokens are more than the context of 16"):
        model_of(task())(batch(1, 17).x_BD)


@pytest.mark.parametrize("text", ["", "plain", "na\u00efve \u4e2d\u6587 \U0001f40d\0"])
def test_bytes_lose_nothing(text: str) -> None:
    tokens = tokenizer.encode(text)
    assert tokens.dtype == torch.uint8
    assert len(tokens) == len(text.encode())
    assert tokenizer.decode(tokens) == text


def test_half_a_character_is_shown_as_such() -> None:
    assert tokenizer.decode(tokenizer.encode("a\u00e9")[:2]) == "a\ufffd"
