"""A Gaussian mixture in closed form: exact velocities and posteriors of a diffusion ensemble.

Data: sum of isotropic Gaussians with one width; the linear path a = 1 - t, s = t. Each
component at time t is Gaussian with mean (1 - t) m_j and variance (1 - t)^2 w^2 + t^2, so
velocity, posterior and the flow of any subset of components are formulas.

Shape suffixes: B batch, J components, K parts.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Mixture:
    mean_J2: Tensor
    share_J: Tensor
    part_J: Tensor
    width: float

    @property
    def num_parts(self) -> int:
        return int(self.part_J.max()) + 1

    @property
    def prior_K(self) -> Tensor:
        return torch.zeros(self.num_parts, dtype=torch.float64).index_add(
            0, self.part_J, self.share_J
        )

    def component_log_joint(self, x_B2: Tensor, time_B: Tensor) -> Tensor:
        """log of share_j p_t(x | j), up to a constant, (B, J)."""
        keep, noise = 1 - time_B[:, None], time_B[:, None]
        variance = keep**2 * self.width**2 + noise**2
        square = (x_B2[:, None] - keep[..., None] * self.mean_J2).square().sum(-1)
        return self.share_J.log() - square / (2 * variance) - variance.log()

    def velocity(self, x_B2: Tensor, time_B: Tensor, present_J: Tensor | None = None) -> Tensor:
        """The exact marginal velocity of the components that are present."""
        joint_BJ = self.component_log_joint(x_B2, time_B)
        if present_J is not None:
            joint_BJ = joint_BJ.masked_fill(~present_J, -torch.inf)
        keep, noise = 1 - time_B[:, None, None], time_B[:, None, None]
        variance = keep**2 * self.width**2 + noise**2
        away = x_B2[:, None] - keep * self.mean_J2
        # d/dt of the conditional mean plus d/dt of the log standard deviation times the offset.
        component = -self.mean_J2 + (noise - keep * self.width**2) / variance * away
        return (joint_BJ.softmax(1)[..., None] * component).sum(1)

    def part_velocity(self, part: int, x_B2: Tensor, time_B: Tensor) -> Tensor:
        return self.velocity(x_B2, time_B, self.part_J == part)

    def part_log_joint(self, x_B2: Tensor, time_B: Tensor) -> Tensor:
        """Logits of the exact router, (B, K)."""
        joint_BJ = self.component_log_joint(x_B2, time_B)
        parts = [joint_BJ[:, self.part_J == k].logsumexp(1) for k in range(self.num_parts)]
        return torch.stack(parts, dim=1)

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """(samples, component of each)."""
        j = torch.multinomial(self.share_J, count, replacement=True, generator=generator)
        noise = torch.randn(count, 2, dtype=torch.float64, generator=generator)
        return self.mean_J2[j] + self.width * noise, j


def eight_parts(seed: int = 0) -> Mixture:
    """32 Gaussians in 8 groups of unequal size."""
    generator = torch.Generator().manual_seed(seed)
    centre_K2 = 6 * torch.randn(8, 2, dtype=torch.float64, generator=generator)
    offset = torch.randn(32, 2, dtype=torch.float64, generator=generator)
    part_J = torch.arange(32) % 8
    share_J = 0.5 + torch.rand(32, dtype=torch.float64, generator=generator)
    share_J = share_J * (1 + (part_J == 0))
    return Mixture(centre_K2[part_J] + offset, share_J / share_J.sum(), part_J, 0.3)
