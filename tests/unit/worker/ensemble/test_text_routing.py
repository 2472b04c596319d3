"""Routing of text, exact on sources that are known: Markov chains, and points on a line."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from atoll_worker.ensemble.centroid import centroid_probabilities
from atoll_worker.ensemble.likelihood import prefix_posterior, running_posterior
from atoll_worker.ensemble.text_sampling import continued

STATES, SOURCES, LENGTH = 5, 3, 40
ALL = torch.ones(SOURCES, dtype=torch.bool)


def chains(seed: int, sharpness: float = 2.0) -> Tensor:
    """Transition matrices (K, states, states) in float64."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(SOURCES, STATES, STATES, generator=generator, dtype=torch.float64)
    return (sharpness * logits).softmax(dim=2)


def drawn(chain: Tensor, texts: int, seed: int) -> Tensor:
    """Texts (B, L) of one chain, from the state 0."""
    generator = torch.Generator().manual_seed(seed)
    state = torch.zeros(texts, dtype=torch.int64)
    found = [state]
    for _ in range(LENGTH - 1):
        state = torch.multinomial(chain[state], 1, generator=generator).squeeze(1)
        found.append(state)
    return torch.stack(found, dim=1)


def read(of: Tensor, text_BL: Tensor) -> Tensor:
    """What each chain makes of each token after the first: (K, B, T)."""
    return torch.stack([chain[text_BL[:, :-1], text_BL[:, 1:]] for chain in of])


@pytest.mark.parametrize("present", [[True, True, True], [True, False, True], [False, True, False]])
def test_the_running_mixture_is_the_exact_marginal_of_the_sources(present: list[bool]) -> None:
    present_K, prior_K = torch.tensor(present), torch.tensor([5.0, 2.0, 3.0])
    seen = read(chains(0), drawn(chains(0)[1], 20, seed=1))
    weight_BTK = running_posterior(seen, prior_K, present_K).double()
    mixed_BT = (weight_BTK * seen.permute(1, 2, 0)).sum(dim=2)
    kept_K = prior_K.double() * present_K
    marginal_B = ((kept_K / kept_K.sum())[:, None] * seen.prod(dim=2)).sum(dim=0)
    assert torch.allclose(mixed_BT.log().sum(dim=1), marginal_B.log(), atol=1e-4)
    assert not weight_BTK[..., ~present_K].any()


def test_the_prefix_posterior_is_bayes_rule() -> None:
    prior_K = torch.tensor([1.0, 2.0, 1.0])
    seen = read(chains(2), drawn(chains(2)[0], 6, seed=3))
    joint_KB = prior_K[:, None] * seen[..., :7].prod(dim=2)
    exact_BK = (joint_KB / joint_KB.sum(dim=0)).T.float()
    assert torch.allclose(prefix_posterior(seen, prior_K, ALL, 7), exact_BK, atol=1e-6)
    assert torch.allclose(prefix_posterior(seen, prior_K, ALL, 0), prior_K / 4)


def test_the_running_posterior_passes_through_the_posterior_of_each_prefix() -> None:
    prior_K = torch.tensor([1.0, 2.0, 1.0])
    seen = read(chains(2), drawn(chains(2)[0], 6, seed=3))
    running = running_posterior(seen, prior_K, ALL)
    for tokens in (0, 1, 9, LENGTH - 2):
        assert torch.allclose(running[:, tokens], prefix_posterior(seen, prior_K, ALL, tokens))


def test_the_posterior_finds_the_source() -> None:
    of, prior_K = chains(4), torch.ones(SOURCES)
    for source in range(SOURCES):
        seen = read(of, drawn(of[source], 50, seed=source))
        posterior_BK = prefix_posterior(seen, prior_K, ALL, LENGTH - 1)
        assert (posterior_BK.argmax(dim=1) == source).float().mean() > 0.9


def test_a_later_token_does_not_weigh_an_earlier_one() -> None:
    seen = read(chains(0), drawn(chains(0)[1], 4, seed=1))
    changed = seen.clone()
    changed[0, :, 20] = 0.001
    before, after = (running_posterior(it, torch.ones(SOURCES), ALL) for it in (seen, changed))
    assert torch.equal(before[:, :21], after[:, :21])
    assert not torch.equal(before[:, 21:], after[:, 21:])


def test_a_long_text_does_not_underflow_and_an_impossible_token_is_no_nan() -> None:
    seen = torch.full((SOURCES, 1, 20_000), 1e-4)
    seen[1] = 2e-4
    seen[:, :, 100] = 0.0
    posterior_BK = prefix_posterior(seen, torch.ones(SOURCES), ALL, 20_000)
    assert posterior_BK.tolist() == [pytest.approx([0.0, 1.0, 0.0])]


@given(
    st.lists(st.floats(0, 4), min_size=SOURCES, max_size=SOURCES),
    st.floats(0.01, 10),
    st.lists(st.booleans(), min_size=SOURCES, max_size=SOURCES).filter(any),
)
def test_centroid_weights_are_the_formula_over_the_experts_that_are_there(
    distances: list[float], temperature: float, present: list[bool]
) -> None:
    present_K = torch.tensor(present)
    found = centroid_probabilities(torch.tensor([distances]), temperature, present_K)[0].tolist()
    least = min(d for d, there in zip(distances, present, strict=True) if there)
    raw = [
        math.exp(-(d - least) / temperature) if there else 0.0
        for d, there in zip(distances, present, strict=True)
    ]
    assert found == pytest.approx([value / sum(raw) for value in raw], abs=1e-4)


def test_nobody_there() -> None:
    none = torch.zeros(SOURCES, dtype=torch.bool)
    with pytest.raises(ValueError, match="at least one expert"):
        centroid_probabilities(torch.zeros(1, SOURCES), 0.1, none)
    with pytest.raises(ValueError, match="at least one expert"):
        running_posterior(torch.ones(SOURCES, 1, 2), torch.ones(SOURCES), none)


def test_a_chain_is_continued_as_it_is() -> None:
    chain = chains(0)[0]
    prompt = torch.zeros(4000, 1, dtype=torch.uint8)
    text = continued(
        lambda text_BL: chain[text_BL[:, -1].long()],
        prompt,
        2,
        1.0,
        torch.Generator().manual_seed(0),
    )
    assert text.dtype == torch.uint8
    assert text.shape == (4000, 3)
    shares = torch.bincount(text[:, 2].long(), minlength=STATES) / 4000
    assert torch.allclose(shares.double(), (chain @ chain)[0], atol=0.03)


def test_temperature_sharpens_and_zero_takes_the_likeliest() -> None:
    probability = torch.tensor([[0.5, 0.3, 0.2]])

    def drawn_at(temperature: float) -> list[int]:
        generator = torch.Generator().manual_seed(0)
        prompt = torch.zeros(4000, 1, dtype=torch.uint8)
        text = continued(
            lambda it: probability.expand(len(it), -1), prompt, 1, temperature, generator
        )
        found: list[int] = torch.bincount(text[:, 1].long(), minlength=3).tolist()
        return found

    assert drawn_at(0) == [4000, 0, 0]
    squares = [0.25 / 0.38, 0.09 / 0.38, 0.04 / 0.38]
    assert [count / 4000 for count in drawn_at(0.5)] == pytest.approx(squares, abs=0.03)
    assert drawn_at(1.0) == drawn_at(1.0)
