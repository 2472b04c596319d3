"""Into which memory an artifact is decoded."""

import pytest
import torch
from torch import Tensor

from atoll_worker.exchange.decoding import Decoder
from atoll_worker.exchange.encoding import encode
from atoll_worker.ports import Artifact

TENSORS = {
    "bias": torch.arange(5.0),
    "matrix": torch.arange(6.0).reshape(2, 3),
    "scalar": torch.tensor(7.0),
    "half": torch.ones(4, dtype=torch.bfloat16),
    "large": torch.arange(20_000.0),
}


def decoded_into(into: dict[str, Tensor]) -> dict[str, Tensor]:
    encoded = encode(Artifact(TENSORS))
    decoder = Decoder(encoded.manifest, into)
    decoder.write(0, memoryview(b"".join(encoded.blobs)))
    found = decoder.finish().tensors
    for name, tensor in TENSORS.items():
        assert torch.equal(found[name], tensor)
        assert found[name].dtype == tensor.dtype
        assert not found[name].requires_grad
    return dict(found)


@pytest.mark.parametrize("name", TENSORS)
def test_a_tensor_that_fits_is_overwritten(name: str) -> None:
    into = {name: torch.zeros_like(TENSORS[name])}
    found = decoded_into(into)
    assert found[name].data_ptr() == into[name].data_ptr()
    assert torch.equal(into[name], TENSORS[name])


@pytest.mark.parametrize("name", ["bias", "large"])
def test_a_parameter_is_overwritten_too(name: str) -> None:
    parameter = torch.zeros_like(TENSORS[name]).requires_grad_()
    found = decoded_into({name: parameter})
    assert found[name].data_ptr() == parameter.data_ptr()
    assert parameter.requires_grad


@pytest.mark.parametrize(
    "other",
    [torch.zeros(6), torch.zeros(3, 2), torch.zeros(2, 3, dtype=torch.float64), torch.zeros(1)],
)
def test_a_tensor_of_another_shape_or_type_stays(other: Tensor) -> None:
    found = decoded_into({"matrix": other, "unknown": other})
    assert found["matrix"].data_ptr() != other.data_ptr()
    assert not other.any()


def test_memory_that_is_not_in_a_row_is_overwritten_where_it_is() -> None:
    columns = torch.zeros(3, 2)
    found = decoded_into({"matrix": columns.T})
    assert torch.equal(columns, TENSORS["matrix"].T)
    assert found["matrix"].data_ptr() == columns.data_ptr()


def test_small_tensors_of_one_artifact_share_no_element() -> None:
    found = decoded_into({})
    found["bias"].fill_(-1)
    assert torch.equal(found["matrix"], TENSORS["matrix"])
    assert torch.equal(found["scalar"], TENSORS["scalar"])
