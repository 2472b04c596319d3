"""Each codec against the bound that it states, for any finite values, shape and layout."""

import math
from typing import Literal, get_args

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor

from atoll_api.spec.exchange import Encoding
from atoll_worker.exchange.codecs import int8, layout, raw, rows
from atoll_worker.exchange.codecs.base import Codec, DamagedError, OutsideDomainError
from atoll_worker.exchange.codecs.registry import BOUNDS, ENCODINGS, decoder, encoders

SHAPES = [(), (0,), (1,), (7,), (0, 3), (3, 0), (1, 1), (4, 5), (2, 3, 4), (3, 1, 2, 2)]
ALONE: list[Encoding] = ["BFloat16", "Float16", "Int8"]
ROUNDING = [encoders(encoding)[0] for encoding in ALONE]
codecs = pytest.mark.parametrize("codec", ROUNDING, ids=lambda codec: codec.name)


@st.composite
def tensors(draw: st.DrawFn) -> Tensor:
    """float32 or float64 of any finite values, each row perhaps of one magnitude."""
    width: Literal[32, 64] = draw(st.sampled_from([32, 64]))
    shape = draw(st.sampled_from(SHAPES))
    largest = draw(st.sampled_from([1e-300, 1e-45, 1e-38, 1e-5, 1.0, 6e4, 1e38, 1e300]))
    limit = min(largest, 3.4e38) if width == 32 else largest
    limit = float(torch.tensor(limit, dtype=torch.float32 if width == 32 else torch.float64))
    values = st.floats(-limit, limit, width=width)
    size = math.prod(shape)
    listed = draw(st.lists(values, min_size=size, max_size=size))
    return torch.tensor(listed, dtype=getattr(torch, f"float{width}")).reshape(shape)


def encode(codec: Codec, tensor: Tensor) -> Tensor:
    return codec.encode(tensor).reshape(-1).view(torch.uint8)


def decode(codec: Codec, content: Tensor, like: Tensor) -> Tensor:
    return codec.decode(content.clone(), like.dtype, tuple(like.shape))


def allowed(codec: Codec, tensor: Tensor) -> Tensor:
    """The error that the codec's bound permits, by element, in float64."""
    size = tensor.double().abs()
    if codec.bound.of == "RowMaximum" and tensor.numel():
        rows = size.reshape(layout.num_rows(tuple(tensor.shape)), -1)
        size = rows.amax(dim=1, keepdim=True).expand_as(rows).reshape(tensor.shape)
    return size * codec.bound.relative + codec.bound.absolute


@codecs
@given(tensor=tensors())
def test_the_error_is_within_the_bound(codec: Codec, tensor: Tensor) -> None:
    try:
        content = encode(codec, tensor)
    except OutsideDomainError:
        assume(False)
    back = decode(codec, content, tensor)
    assert (back.dtype, back.shape) == (tensor.dtype, tensor.shape)
    assert bool(((back.double() - tensor.double()).abs() <= allowed(codec, tensor)).all())


@codecs
@given(tensor=tensors())
def test_encoding_what_was_decoded_gives_the_same_bytes(codec: Codec, tensor: Tensor) -> None:
    try:
        content = encode(codec, tensor)
    except OutsideDomainError:
        assume(False)
    again = encode(codec, decode(codec, content, tensor))
    assert torch.equal(again, content)


@codecs
@given(tensor=tensors())
def test_the_size_is_the_one_that_manifests_are_checked_against(
    codec: Codec, tensor: Tensor
) -> None:
    try:
        content = encode(codec, tensor)
    except OutsideDomainError:
        assume(False)
    dtype = raw.NAMES[tensor.dtype]
    assert content.numel() == layout.encoded_bytes(codec.name, dtype, tuple(tensor.shape))


@codecs
def test_many_ordinary_values_are_within_the_bound_and_idempotent(codec: Codec) -> None:
    tensor = torch.randn(64, 2048, generator=torch.Generator().manual_seed(0))
    content = encode(codec, tensor)
    back = decode(codec, content, tensor)
    assert bool(((back - tensor).abs() <= allowed(codec, tensor)).all())
    assert torch.equal(encode(codec, back), content)


@codecs
def test_memory_that_is_not_contiguous_is_encoded_by_its_values(codec: Codec) -> None:
    tensor = torch.randn(6, 10, generator=torch.Generator().manual_seed(1))
    for odd in (tensor.T, tensor[::2, 1::3], tensor[:1].expand(4, 10)):
        assert torch.equal(encode(codec, odd), encode(codec, odd.clone().contiguous()))


@codecs
@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, 3.4e38])
def test_values_outside_of_the_domain_are_refused(codec: Codec, value: float) -> None:
    tensor = torch.ones(3, 4)
    tensor[1, 2] = value
    with pytest.raises(OutsideDomainError, match="not finite or greater"):
        codec.encode(tensor)


def test_float16_refuses_rather_than_saturates() -> None:
    codec = encoders("Float16")[0]
    assert codec.encode(torch.tensor([65504.0])).item() == 65504.0
    with pytest.raises(OutsideDomainError, match="greater than 65504"):
        codec.encode(torch.tensor([65505.0]))


@pytest.mark.parametrize("value", [0.0, 0.5, -0.1, 1e30])
def test_a_constant_row_comes_back_as_a_constant(value: float) -> None:
    tensor = torch.full((2, 9), value)
    back = decode(int8.CODEC, encode(int8.CODEC, tensor), tensor)
    assert bool((back == back[0, 0]).all())
    assert back[0, 0].item() == pytest.approx(value, rel=2**-16)


def test_rows_of_int8_do_not_disturb_one_another() -> None:
    tensor = torch.tensor([[1e6, -1e6, 5e5], [1e-6, 2e-6, -1e-6]])
    back = decode(int8.CODEC, encode(int8.CODEC, tensor), tensor)
    assert torch.allclose(back, tensor, rtol=0.01)


@codecs
def test_damaged_bytes_are_refused(codec: Codec) -> None:
    damaged = torch.full((2 * 4 + 2 * 3,), 0xFF, dtype=torch.uint8)
    shape = (2, 3) if codec.name == layout.INT8 else (7,)
    with pytest.raises(DamagedError):
        codec.decode(damaged, torch.float32, shape)


def test_any_bytes_of_int8_with_good_scales_are_finite() -> None:
    worst = torch.tensor([rows.GREATEST_SCALE]).view(torch.uint8)
    content = torch.cat([worst, torch.full((2,), 0x80, dtype=torch.uint8)])
    assert bool(int8.decode(content, torch.float32, (2,)).isfinite().all())


GOLDEN = {
    "Raw": "000080 3f 000000 c0 00002040 cdcccc3d 00000000 0000e0 40",
    "BFloat16": "803f 00c0 2040 cd3d 0000 e040",
    "Float16": "003c 00c0 0041 662e 0000 0047",
    "Int8": "0043a13c 00c4613d 339a7f 02007f",
}


@pytest.mark.parametrize("name", GOLDEN)
def test_the_bytes_are_pinned(name: Encoding) -> None:
    """Another version must read what this one wrote: these bytes may never change."""
    tensor = torch.tensor([[1.0, -2.0, 2.5], [0.1, 0.0, 7.0]])
    content = bytes(encode(encoders(name)[0], tensor).tolist())
    assert content.hex() == GOLDEN[name].replace(" ", "")


def test_the_registry_is_what_the_api_accepts_and_what_manifests_know() -> None:
    assert set(BOUNDS) == set(ENCODINGS.values()) == set(get_args(Encoding))
    assert set(ENCODINGS) == set(layout.ENCODINGS)


@pytest.mark.parametrize("encoding", get_args(Encoding))
@pytest.mark.parametrize("base", [None, torch.ones(2)], ids=["alone", "against a base"])
def test_every_encoder_has_its_decoder_and_raw_is_the_last_resort(
    encoding: Encoding, base: Tensor | None
) -> None:
    tried = encoders(encoding, base)
    assert tried[-1] is raw.CODEC
    for codec in tried:
        found = decoder(codec.name, base)
        assert found is not None
        assert (found.name, found.bound) == (codec.name, codec.bound)
        assert codec.name == layout.RAW or ENCODINGS[codec.name] == encoding


def test_a_delta_without_its_base_has_no_decoder() -> None:
    assert decoder(layout.DELTA) is None
    assert decoder(layout.UNCHANGED) is None
