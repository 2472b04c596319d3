"""Strategies that merge weights while islands train: `iterativeMerge` and `singleMerge`."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from atoll_api.base import FrozenModel, Items, TaggedUnion
from atoll_api.spec.islands import MOST_ISLANDS

Initialization = Literal["Shared", "Independent"]
NormStatistics = Literal["Reestimate", "Average"]


class Edges(FrozenModel):
    """A graph as a list of its edges."""

    pairs: Items[Items[Annotated[int, Field(ge=0, le=MOST_ISLANDS - 1)]]] = Field(
        min_length=1, max_length=100_000
    )
    """Pairs of islands, each pair once: `[[0, 1], [1, 2]]`. Both pull from each other."""


class Topology(TaggedUnion):
    """Who exchanges weights with whom after a round.

    Ring: the two beside it. FullyConnected: all. Bipartite: even islands with odd ones.
    Exponential: those 1, 2, 4, ... further on. Torus: the four around it in a grid.
    """

    members: ClassVar[dict[str, str | None]] = {
        "Ring": None,
        "FullyConnected": None,
        "Bipartite": None,
        "Exponential": None,
        "Torus": None,
        "Edges": "edges",
    }
    type: Literal["Ring", "FullyConnected", "Bipartite", "Exponential", "Torus", "Edges"] = "Ring"
    edges: Edges | None = None


class Probe(FrozenModel):
    """What networks are shown to see which of their units are alike."""

    type: Literal["Gaussian", "OwnSamples"] = "Gaussian"
    """Gaussian: seeded noise, the same everywhere, as good as data. OwnSamples: the island's."""
    samples: int = Field(default=128, ge=16, le=65_536)


class Align(FrozenModel):
    """Permute units before weights are averaged, so that like meets like."""

    type: Literal["ActivationMatching", "WeightMatching"] = "ActivationMatching"
    """ActivationMatching: by the correlation of activations on a probe (Li et al., 1511.07543).
    WeightMatching: by the weights alone (Ainsworth et al., 2209.04836, algorithm 1)."""
    when: Literal["FirstMerge", "EveryRound", "Never"] = "FirstMerge"
    """FirstMerge: once, into the basis of the first island; from then on all share it."""
    probe: Probe = Probe()
    repair: bool = False
    """After a merge that aligned: give units the spread of activations that they had, which
    averaging shrinks (REPAIR, Jordan et al., 2211.08403). For layers that no norm follows."""


class OuterNesterov(FrozenModel):
    """DiLoCo (Douillard et al., arXiv 2311.08105): Nesterov momentum on averaged changes."""

    learning_rate: float = Field(default=0.7, gt=0.0, le=10.0)
    momentum: float = Field(default=0.9, ge=0.0, lt=1.0)


class Mix(TaggedUnion):
    """What an island goes on from after a round. Average: the weighted mean of what it has."""

    members: ClassVar[dict[str, str | None]] = {
        "Average": None,
        "OuterNesterov": "outer_nesterov",
    }
    type: Literal["Average", "OuterNesterov"] = "Average"
    outer_nesterov: OuterNesterov | None = None


class FinalMerge(FrozenModel):
    """How the islands' last weights become one model."""

    weights: Literal["Uniform", "BySamples"] = "Uniform"
    """BySamples: by the training samples of each island."""
    norm_statistics: NormStatistics = "Reestimate"
    """Of BatchNorm. Reestimate: by each island on its own data, then averaged; no data leave."""


class IterativeMerge(FrozenModel):
    """Train a while, align with neighbours, average, repeat (DIMAT, arXiv 2404.08079).

    `training.steps` is the length of all rounds together.
    """

    topology: Topology = Topology(type="Ring")
    steps_per_round: int = Field(default=100, ge=1, le=10_000_000)
    first_round_steps: int | None = Field(default=None, ge=1, le=100_000_000)
    """Steps before the first exchange; `stepsPerRound` when left out."""
    round_deadline_seconds: float = Field(default=600.0, gt=0.0, le=604_800.0)
    """How long an island waits for a neighbour's weights before it goes on without."""
    initialization: Initialization = "Shared"
    """Shared: all islands begin with the same weights. Independent: each with its own."""
    align: Align | None = None
    """When left out: Never where the initialization is shared, at the first merge where not."""
    mix: Mix = Mix(type="Average")
    optimizer_state: Literal["Keep", "Reset"] = "Reset"
    """Of an island's own optimizer after a merge. Reset: begin anew each round, as DIMAT does."""
    norm_statistics: NormStatistics = "Reestimate"
    """Of BatchNorm, after each merge. Reestimate: on the island's own data."""
    evaluations: int = Field(default=4, ge=0, le=1000)
    """How often, evenly spread over the rounds, mergeability is measured: 0 is never."""
    final_merge: FinalMerge = FinalMerge()

    @property
    def alignment(self) -> Align:
        """What `align` stands for, resolved."""
        if self.align is not None:
            return self.align
        return Align(when="Never" if self.initialization == "Shared" else "FirstMerge")


class GossipWindow(FrozenModel):
    """A part of the training with a rate of its own."""

    start: float = Field(ge=0.0, lt=1.0)
    """Where it begins, as a fraction of all rounds."""
    end: float = Field(gt=0.0, le=1.0)
    """Where it ends."""
    peers_per_round: float = Field(ge=0.0, le=1.0)


class Gossip(FrozenModel):
    """Rare exchange: in a round, with some probability, pull one peer and average 1/2 and 1/2."""

    peers_per_round: float = Field(default=0.15, ge=0.0, le=1.0)
    """Probability that an island pulls in a round; 0 is no exchange before the final merge."""
    steps_per_round: int = Field(default=5, ge=1, le=10_000_000)
    graph: Literal["Random", "Ring", "Exponential"] = "Random"
    """Whom an island may pull: anybody, one of the two beside it, or one 1, 2, 4, ... further on."""
    windows: Items[GossipWindow] = Field(default=(), max_length=16)
    """Parts of the training with another rate; the first that holds a round counts."""


class SingleMerge(FrozenModel):
    """Rare gossip and one final merge (Zhu et al., arXiv 2507.06542).

    `training.steps` is the length of all rounds together.
    """

    gossip: Gossip = Gossip()
    round_deadline_seconds: float = Field(default=600.0, gt=0.0, le=604_800.0)
    """How long an island waits for the weights that it pulls before it goes on without."""
    initialization: Initialization = "Shared"
    norm_statistics: NormStatistics = "Average"
    """Of BatchNorm, after a pull. Reestimate: on the island's own data."""
    evaluations: int = Field(default=4, ge=0, le=1000)
    """How often, evenly spread over the rounds, mergeability is measured: 0 is never."""
    final_merge: FinalMerge = FinalMerge()
