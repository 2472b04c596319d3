"""A stand-in for a GPU: a second device of torch's that computes on the CPU.

Like a GPU it refuses operations on tensors here and there. Where a float tensor would be moved
by accident, or not at all, a test on it fails as it would on a GPU.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Self

import pytest
import torch
from torch import Tensor, nn
from torch._ops import OpOverload
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

from atoll_worker import device

_NAME = "far"
_CROSSING = {"_to_copy", "copy_", "_local_scalar_dense"}
"""What may have tensors of both devices."""
_INDEXING = {"index.Tensor"}


class FarTensor(Tensor):
    """A tensor that says that it is on the far device."""

    near: Tensor

    @staticmethod
    def __new__(cls: type[Self], near: Tensor) -> Self:
        """Wrap a tensor of the CPU."""
        far: Self = Tensor._make_wrapper_subclass(
            cls,
            near.size(),
            strides=near.stride(),
            storage_offset=near.storage_offset(),
            dtype=near.dtype,
            device=torch.device(_NAME, 0),
        )
        far.near = near
        return far

    def __deepcopy__(self, memo: object) -> Tensor:
        """As a module's parameters are copied."""
        copied = FarTensor(self.near.clone())
        return nn.Parameter(copied, self.requires_grad) if self.requires_grad else copied

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls,
        func: OpOverload,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Every operation on a far tensor."""
        del types
        return _run(func, *args, **(kwargs or {}))


def _run(func: OpOverload, *args: Any, **kwargs: Any) -> Any:
    tensors = [it for it in tree_leaves((args, kwargs)) if isinstance(it, Tensor)]
    far = any(isinstance(it, FarTensor) for it in tensors)
    if far:
        _refuse_mixing(func, tensors)
    if kwargs.get("device") is not None:
        far = torch.device(kwargs["device"]).type == _NAME
        kwargs["device"] = torch.device("cpu")
    near_args, near_kwargs = tree_map(_near, (args, kwargs))
    found = func(*near_args, **near_kwargs)
    if not func._schema.returns:
        return None
    if func._schema.is_mutable and func.overloadpacket.__name__.endswith("_"):
        return args[0]
    return tree_map(_far, found) if far else found


def _refuse_mixing(func: OpOverload, tensors: Sequence[Tensor]) -> None:
    """A scalar of the CPU may take part, unless it is what is written to."""
    name = func.overloadpacket.__name__
    if name in _CROSSING or str(func).removeprefix("aten.") in _INDEXING:
        return
    here = [it for it in tensors if not isinstance(it, FarTensor)]
    written = func._schema.is_mutable and not isinstance(tensors[0], FarTensor)
    if written or any(it.dim() for it in here):
        raise RuntimeError(f"{func} has tensors on the CPU and on the far device")


def _near(it: Any) -> Any:
    return it.near if isinstance(it, FarTensor) else it


def _far(it: Any) -> Any:
    return FarTensor(it) if isinstance(it, Tensor) else it


def _run_made_there(func: OpOverload, *args: Any, **kwargs: Any) -> Any:
    """Operations that make far tensors from nothing."""
    return _run(func, *args, **kwargs)


# Before any gradient is computed: autograd counts devices only once.
_setup_privateuseone_for_python_backend(_NAME)
_LIBRARY = torch.library.Library("_", "IMPL")  # type: ignore[no-untyped-call]
_LIBRARY.fallback(_run_made_there, dispatch_key="PrivateUse1")  # type: ignore[no-untyped-call]


@contextmanager
def far_device() -> Iterator[torch.device]:
    """While this lasts the worker's device is far away."""
    where = torch.device(_NAME, 0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(device, "chosen", lambda: where)
        patch.setattr(device, "named", lambda: "far away")
        patch.setattr(device, "described", lambda: "far away")
        patch.setattr(device, "memory", lambda: (100, 200))
        patch.setattr(device, "generators", list)
        patch.setattr(device, "seed_dropout", lambda _seed: None)
        patch.setattr(torch, "inference_mode", torch.no_grad)  # which such tensors cannot be in
        yield where
