"""How trained weights travel: `spec.exchange`."""

from typing import Literal

from atoll_api.base import FrozenModel

Encoding = Literal["Raw", "BFloat16", "Float16", "Int8", "Delta"]


class Exchange(FrozenModel):
    """What happens to weights between the process that trained them and those that read them."""

    encoding: Encoding = "Raw"
    """How experts, baseline and router are published. Raw is exact. BFloat16 and Float16 halve
    the bytes, Int8 quarters them, Delta quarters them as the change from the shared
    initialization; each rounds within a stated bound. Checkpoints, everything but floats, and
    the router under Delta are always exact."""
