"""The weighted mean: within one rounding of float64, and the same bits however it is reached."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from atoll_worker.errors import BadDataError, ContractError
from atoll_worker.merge.linear import Mean
from atoll_worker.merge.mean import Accumulator, weighted_mean
from atoll_worker.merge.pieces import Whole, merged

TYPES = (torch.bfloat16, torch.float16, torch.float32, torch.float64)
types = st.sampled_from(TYPES)
weights_of = st.lists(st.floats(0.001, 1000), min_size=1, max_size=6)


def models(count: int, dtype: torch.dtype, seed: int = 0, size: int = 257) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(size, generator=generator).to(dtype) for _ in range(count)]


def same_bits(a: Tensor, b: Tensor) -> bool:
    return a.dtype == b.dtype and bool(
        torch.equal(a.reshape(-1).view(torch.uint8), b.reshape(-1).view(torch.uint8))
    )


@settings(deadline=None)
@given(dtype=types, weights=weights_of, seed=st.integers(0, 99))
def test_it_is_the_mean_in_float64_rounded_once(
    dtype: torch.dtype, weights: list[float], seed: int
) -> None:
    tensors = models(len(weights), dtype, seed)
    pairs = list(zip(weights, tensors, strict=True))
    exact = sum(w * x.double() for w, x in pairs) / sum(weights)
    summed = sum(w * x.double().abs() for w, x in pairs) / sum(weights)
    assert isinstance(exact, Tensor)
    assert isinstance(summed, Tensor)
    found = weighted_mean(tensors, weights)
    working = torch.float64 if dtype == torch.float64 else torch.float32
    # Half a unit in the last place of the result, and one of the sum for each operation in it.
    last_rounding = exact.abs() * torch.finfo(dtype).eps / 2 + torch.finfo(dtype).tiny
    before = summed * (len(weights) + 2) * torch.finfo(working).eps
    assert bool(((found.double() - exact).abs() <= last_rounding * 1.001 + before).all())


@settings(deadline=None)
@given(dtype=types, weights=weights_of, seed=st.integers(0, 99))
def test_an_accumulator_has_the_same_bits(
    dtype: torch.dtype, weights: list[float], seed: int
) -> None:
    tensors = models(len(weights), dtype, seed)
    running = Accumulator()
    for tensor, weight in zip(tensors, weights, strict=True):
        running.add({"w": tensor, "steps": torch.tensor(7)}, weight)
    result = running.result()
    assert same_bits(result["w"], weighted_mean(tensors, weights))
    assert same_bits(result["steps"], torch.tensor(7))


@settings(deadline=None)
@given(dtype=st.sampled_from(TYPES[2:]), weights=weights_of, cut=st.integers(0, 257))
def test_pieces_without_torch_have_the_bits_of_the_whole(
    dtype: torch.dtype, weights: list[float], cut: int
) -> None:
    arrays = [tensor.numpy() for tensor in models(len(weights), dtype)]
    expected = weighted_mean(models(len(weights), dtype), weights)
    rule = Mean(weights).rule(Whole("w", 257, arrays[0].dtype.type, lambda: iter([])))
    assert same_bits(torch.from_numpy(merged(Mean(weights), "w", arrays)), expected)
    halves = [[x[:cut] for x in arrays], [x[cut:] for x in arrays]]
    parts = [torch.from_numpy(rule([x.copy() for x in half])) for half in halves]
    assert same_bits(torch.cat(parts), expected)


@settings(deadline=None)
@given(weights=weights_of, order=st.randoms(use_true_random=False))
def test_the_order_of_peers_changes_no_more_than_rounding(
    weights: list[float], order: object
) -> None:
    pairs = list(zip(models(len(weights), torch.float32), weights, strict=True))
    mixed = list(pairs)
    order.shuffle(mixed)  # type: ignore[attr-defined]
    one = weighted_mean([x for x, _ in pairs], [w for _, w in pairs])
    other = weighted_mean([x for x, _ in mixed], [w for _, w in mixed])
    torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)
    again = weighted_mean([x for x, _ in pairs], [w for _, w in pairs])
    assert same_bits(one, again)


def test_weights_are_normalised() -> None:
    tensors = models(2, torch.float32)
    assert same_bits(weighted_mean(tensors, [1, 3]), weighted_mean(tensors, [0.25, 0.75]))


def test_known_bits() -> None:
    """By numpy: (x_0 w_0 + x_1 w_1) / 1 in float32, and bfloat16 by its definition."""
    tensors = [torch.tensor([0.1, -2.0, 3e-8]), torch.tensor([0.2, 5.0, 1e8])]
    found = weighted_mean([x.bfloat16() for x in tensors], [0.3, 0.7])
    assert found.view(torch.int16).tolist() == [15918, 16442, 19590]
    assert weighted_mean(tensors, [0.3, 0.7]).view(torch.int32).tolist() == [
        1043207291,
        1077516698,
        1283818416,
    ]


def test_one_model_is_its_own_mean() -> None:
    for dtype in TYPES:
        (tensor,) = models(1, dtype)
        assert same_bits(weighted_mean([tensor], [1]), tensor)


def test_what_is_no_float_is_taken_from_the_first() -> None:
    counters = [torch.tensor([1, 2]), torch.tensor([5, 6])]
    assert weighted_mean(counters, [1, 1]).tolist() == [1, 2]
    masks = [torch.tensor([True, False]), torch.tensor([False, False])]
    assert weighted_mean(masks, [1, 1]).tolist() == [True, False]


def test_the_type_is_that_of_the_first() -> None:
    tensors = [models(1, torch.bfloat16)[0], models(1, torch.float64)[0]]
    assert weighted_mean(tensors, [1, 1]).dtype == torch.bfloat16
    assert weighted_mean(tensors[::-1], [1, 1]).dtype == torch.float64


def test_a_model_of_no_weight_is_not_looked_at() -> None:
    tensors = [torch.full((3,), math.nan), torch.ones(3)]
    assert weighted_mean(tensors, [0, 2]).tolist() == [1, 1, 1]


def test_inputs_are_not_changed_and_a_result_can_be_had_on_the_way() -> None:
    a, b = torch.ones(3), torch.full((3,), 3.0)
    running = Accumulator()
    running.add({"w": a}, 1)
    assert running.result()["w"].tolist() == [1, 1, 1]
    running.add({"w": b}, 1)
    assert running.result()["w"].tolist() == [2, 2, 2]
    assert running.result()["w"].tolist() == [2, 2, 2]
    assert a.tolist() == [1, 1, 1]
    assert b.tolist() == [3, 3, 3]


@pytest.mark.parametrize("bad", [-1.0, math.nan, math.inf, 1e30, 1e-30])
def test_what_is_no_weight_is_refused(bad: float) -> None:
    with pytest.raises(BadDataError, match="a weight is"):
        weighted_mean(models(2, torch.float32), [1, bad])
    with pytest.raises(BadDataError, match="a weight is"):
        Accumulator().add({"w": torch.ones(1)}, bad)


def test_a_mean_of_nothing_is_refused() -> None:
    with pytest.raises(BadDataError, match="all weights are 0"):
        weighted_mean(models(2, torch.float32), [0, 0])
    with pytest.raises(ContractError, match=r"shapes \[1\] and \[257\]"):
        weighted_mean([*models(1, torch.float32), torch.ones(1)], [1, 1])
    with pytest.raises(BadDataError, match="1 weights for 2 models"):
        weighted_mean(models(2, torch.float32), [1])
    running = Accumulator()
    running.add({"w": torch.ones(1)}, 0)
    with pytest.raises(BadDataError, match="nothing to average"):
        running.result()


@pytest.mark.parametrize(
    ("tensors", "expected"),
    [
        ({}, "'w' is only in the first model"),
        ({"w": torch.ones(2), "v": torch.ones(2)}, "'v' is not in the first model"),
        ({"w": torch.ones(3)}, r"'w' has shape \[3\], in the first model \[2\]"),
    ],
)
def test_another_architecture_is_refused(tensors: dict[str, Tensor], expected: str) -> None:
    running = Accumulator()
    running.add({"w": torch.ones(2)}, 1)
    with pytest.raises(ContractError, match=expected):
        running.add(tensors, 1)
    assert running.result()["w"].tolist() == [1, 1]  # it counted for nothing
