"""Deltas against the bound that they state, for any finite values, changes, shapes and layouts."""

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from atoll_worker.exchange.codecs import delta, layout, raw, unchanged
from atoll_worker.exchange.codecs.base import DamagedError, OutsideDomainError

SHAPES = [(), (1,), (7,), (1, 1), (4, 5), (2, 3, 4), (3, 1, 2, 2)]
DTYPES = [torch.float32, torch.float64]
SIZES = [0.0, 1e-300, 1e-45, 1e-38, 1e-5, 1.0, 6e4, 1e37]


def values(dtype: torch.dtype, size: float, count: int) -> st.SearchStrategy[Tensor]:
    limit = float(torch.tensor(size, dtype=dtype))
    number = st.floats(-limit, limit, width=32 if dtype == torch.float32 else 64)
    listed = st.lists(number, min_size=count, max_size=count)
    return listed.map(lambda found: torch.tensor(found, dtype=dtype))


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    """A tensor and its base; the change of any size against the values, and often none."""
    dtype, shape = draw(st.sampled_from(DTYPES)), draw(st.sampled_from(SHAPES))
    count = math.prod(shape)
    base = draw(values(dtype, draw(st.sampled_from(SIZES)), count))
    change = draw(values(dtype, draw(st.sampled_from(SIZES)), count))
    mask = torch.tensor(draw(st.lists(st.booleans(), min_size=count, max_size=count)))
    tensor = torch.where(mask, base + change, base)
    return tensor.reshape(shape), base.reshape(shape)


def spacings(count: int) -> st.SearchStrategy[tuple[Tensor, Tensor]]:
    """Changes of a few units in the last place: where rounding is as large as what is encoded."""
    steps = st.lists(st.integers(-400, 400), min_size=count, max_size=count)
    bases = st.lists(st.floats(0.5, 100, width=32), min_size=count, max_size=count)

    def moved(drawn: tuple[list[float], list[int]]) -> tuple[Tensor, Tensor]:
        base = torch.tensor(drawn[0], dtype=torch.float32)
        bits = base.view(torch.int32) + torch.tensor(drawn[1], dtype=torch.int32)
        return bits.view(torch.float32), base

    return st.tuples(bases, steps).map(moved)


def encode(tensor: Tensor, base: Tensor) -> tuple[str, Tensor]:
    """As an artifact does: a delta, or nothing."""
    try:
        return layout.DELTA, delta.encode(tensor, base)
    except OutsideDomainError:
        return layout.UNCHANGED, unchanged.encode(tensor, base)


def decode(name: str, content: Tensor, base: Tensor) -> Tensor:
    codec = {layout.DELTA: delta.against, layout.UNCHANGED: unchanged.against}[name](base)
    return codec.decode(content.clone(), base.dtype, tuple(base.shape))


def by_row(tensor: Tensor) -> Tensor:
    """The greatest magnitude of each row, by element, in float64."""
    rows = tensor.double().abs().reshape(layout.num_rows(tuple(tensor.shape)), -1)
    return rows.amax(dim=1, keepdim=True).expand_as(rows).reshape(tensor.shape)


def require_bound(tensor: Tensor, base: Tensor, back: Tensor) -> None:
    bound = delta.BOUND
    allowed = by_row(tensor.double() - base.double()) * bound.relative + bound.absolute
    allowed += by_row(base) * bound.of_base
    assert (back.dtype, back.shape) == (tensor.dtype, tensor.shape)
    assert bool(((back.double() - tensor.double()).abs() <= allowed).all())


def require_idempotent(tensor: Tensor, base: Tensor) -> None:
    name, content = encode(tensor, base)
    back = decode(name, content, base)
    require_bound(tensor, base, back)
    again, same = encode(back, base)
    assert again == name
    assert torch.equal(same, content)


@given(pair=pairs())
def test_the_error_is_bounded_and_encoding_it_again_gives_the_same_bytes(
    pair: tuple[Tensor, Tensor],
) -> None:
    assume(bool(pair[0].isfinite().all()))
    require_idempotent(*pair)


@given(pair=spacings(6))
@settings(max_examples=300)
def test_changes_at_the_spacing_of_the_values_are_no_exception(pair: tuple[Tensor, Tensor]) -> None:
    require_idempotent(*pair)


@pytest.mark.parametrize("step", [1.0, 1e-2, 1e-4, 1e-6, 1e-7])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_many_ordinary_changes(step: float, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    base = torch.randn(300, 700, generator=generator, dtype=dtype)
    tensor = base + step * torch.randn(300, 700, generator=generator, dtype=dtype)
    require_idempotent(tensor, base)


@given(pair=pairs())
def test_the_size_is_the_one_that_manifests_are_checked_against(
    pair: tuple[Tensor, Tensor],
) -> None:
    tensor, base = pair
    assume(bool(tensor.isfinite().all()))
    name, content = encode(tensor, base)
    needed = layout.encoded_bytes(name, raw.NAMES[tensor.dtype], tuple(tensor.shape))
    assert content.numel() == needed


@given(pair=pairs())
def test_an_unchanged_tensor_costs_nothing_and_comes_back_bit_for_bit(
    pair: tuple[Tensor, Tensor],
) -> None:
    _, base = pair
    name, content = encode(base.clone(), base)
    back = decode(name, content, base)
    assert (name, content.numel()) == (layout.UNCHANGED, 0)
    assert raw.view(back) == raw.view(base)


def test_an_unchanged_row_comes_back_bit_for_bit_beside_one_that_changed() -> None:
    base = torch.tensor([[0.1, -0.0, 1e30], [0.1, -0.0, 1e30]])
    tensor = base.clone()
    tensor[1, 0] = 1e29
    name, content = encode(tensor, base)
    back = decode(name, content, base)
    assert name == layout.DELTA
    assert raw.view(back[:1]) == raw.view(base[:1])
    assert back[1, 0].item() == pytest.approx(1e29, rel=0.005)


@pytest.mark.parametrize(
    "tensor",
    [
        torch.tensor([True, False]),
        torch.arange(5),
        torch.tensor([torch.inf, -torch.inf, torch.nan, -0.0]),
        torch.randn(3, 3, generator=torch.Generator().manual_seed(0)).bfloat16(),
    ],
    ids=["bool", "int64", "not finite", "bfloat16"],
)
def test_a_tensor_of_any_type_and_value_may_be_unchanged(tensor: Tensor) -> None:
    back = decode(layout.UNCHANGED, unchanged.encode(tensor.clone(), tensor), tensor)
    assert back.dtype == tensor.dtype
    assert raw.view(back) == raw.view(tensor)


def test_a_narrow_type_is_never_rounded() -> None:
    base = torch.tensor([1.0, 1e-3], dtype=torch.float16)
    near = torch.nextafter(base, base + 1)
    with pytest.raises(OutsideDomainError):
        unchanged.encode(near, base)


def test_what_was_decoded_shares_no_memory_with_the_base() -> None:
    base = torch.ones(4)
    decode(layout.UNCHANGED, torch.empty(0, dtype=torch.uint8), base).zero_()
    decode(*encode(torch.full((4,), 2.0), base), base).zero_()
    assert torch.equal(base, torch.ones(4))


def test_memory_that_is_not_contiguous_is_encoded_by_its_values() -> None:
    generator = torch.Generator().manual_seed(1)
    tensor, base = (torch.randn(6, 10, generator=generator) for _ in range(2))
    first = delta.encode(tensor.T, base.T)
    assert torch.equal(first, delta.encode(tensor.T.contiguous(), base.T.contiguous()))
    back = delta.decode(first, torch.float32, (10, 6), base.T)
    require_bound(tensor.T, base.T, back)


def test_rows_do_not_disturb_one_another() -> None:
    base = torch.zeros(2, 3)
    tensor = torch.tensor([[1e6, -1e6, 5e5], [1e-6, 2e-6, -1e-6]])
    back = delta.decode(delta.encode(tensor, base), torch.float32, (2, 3), base)
    assert torch.allclose(back, tensor, rtol=0.01)


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, 1e38])
@pytest.mark.parametrize("where", ["tensor", "base"])
def test_values_outside_of_the_domain_are_refused(value: float, where: str) -> None:
    odd, plain = torch.ones(3, 4), torch.ones(3, 4)
    odd[1, 2] = value
    tensor, base = (odd, plain) if where == "tensor" else (plain, odd)
    with pytest.raises(OutsideDomainError, match="not finite or greater"):
        delta.encode(tensor, base)
    with pytest.raises(OutsideDomainError, match="another than the base"):
        unchanged.encode(tensor, base)


OTHERS: list[tuple[str, Callable[[], Tensor]]] = [
    ("shape", lambda: torch.ones(4, 3)),
    ("type", lambda: torch.ones(3, 4, dtype=torch.float64)),
]


@pytest.mark.parametrize("make", [make for _, make in OTHERS], ids=[name for name, _ in OTHERS])
def test_a_base_of_another_type_or_shape_is_no_base(make: Callable[[], Tensor]) -> None:
    tensor, base = torch.zeros(3, 4), make()
    for codec in (delta.against(base), unchanged.against(base)):
        with pytest.raises(OutsideDomainError):
            codec.encode(tensor)
        content = torch.zeros(layout.encoded_bytes(codec.name, "float32", (3, 4)))
        with pytest.raises(DamagedError, match=r"the base is torch\.float.*, not torch\.float32"):
            codec.decode(content.to(torch.uint8), torch.float32, (3, 4))


def test_damaged_bytes_are_refused() -> None:
    content = torch.full((2 * 2 + 2 * 3,), 0xFF, dtype=torch.uint8)
    with pytest.raises(DamagedError, match="a scale is negative, too great or not finite"):
        delta.decode(content, torch.float32, (2, 3), torch.ones(2, 3))


def test_the_bytes_are_pinned() -> None:
    """Another version must read what this one wrote: these bytes may never change."""
    base = torch.tensor([[1.0, -2.0, 2.5], [0.5, 0.5, 0.5]])
    tensor = torch.tensor([[1.5, -2.0, 2.25], [0.5, 0.5, 0.5]])
    content = bytes(delta.encode(tensor, base).tolist())
    assert content.hex() == "813b 0000 81 00 40 00 00 00".replace(" ", "")
