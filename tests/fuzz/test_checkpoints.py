"""Checkpoints that are not what they should be: an island goes on from one that fits, or begins anew."""

import json
from random import Random

import torch
from damage import altered
from fuzzing import Fuzz
from torch import Tensor, nn

from atoll_api import names
from atoll_api.names import StepName
from atoll_api.spec.training import Optimizer
from atoll_worker.errors import RejectedError
from atoll_worker.exchange.memory import MemoryArtifacts
from atoll_worker.ports import Artifact
from atoll_worker.train.checkpoint import number_of, restore, resume, snapshot
from atoll_worker.train.loop import LoopSettings, TrainingState, run_loop, start_state

STEP = StepName("island-0")
DTYPES = (torch.float64, torch.bfloat16, torch.int64, torch.bool, torch.uint8)


class Unseen:
    def after_step(self, state: TrainingState) -> None:
        pass


def settings() -> LoopSettings:
    return LoopSettings(
        name="island 0", steps=4, optimizer=Optimizer(), ema_decay=0.9, seed=0, purpose="island"
    )


def fresh() -> TrainingState:
    torch.manual_seed(0)
    return start_state(nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)), settings())


def train(state: TrainingState, until: int) -> None:
    def loss_of(model: nn.Module, *_: object) -> Tensor:
        found: Tensor = model(torch.ones((2, 3))).square().sum()
        return found

    run_loop(state, loss_of, settings(), Unseen(), until)


def altered_checkpoint(random: Random, known: Artifact) -> Artifact:
    metadata, tensors = dict(known.metadata), dict(known.tensors)
    if random.random() < 0.6:
        metadata = altered(random, json.loads(json.dumps(metadata)))
    for _ in range(random.choice((0, 0, 1, 2))):
        name = random.choice(sorted(tensors))
        _alter(random, tensors, name)
    return Artifact(tensors, metadata)


def _alter(random: Random, tensors: dict[str, Tensor], name: str) -> None:
    value = tensors[name]
    match random.randrange(6):
        case 0:
            del tensors[name]
        case 1:
            tensors[random.choice(("model/x", "kept/y", "x", name + "/", name[:-1]))] = value
        case 2:
            tensors[name] = value.to(random.choice(DTYPES))
        case 3:
            tensors[name] = value.flatten()[: random.randint(0, 3)]
        case 4:
            tensors[name] = torch.full_like(value, random.choice((0, 1, 100)))
        case _:
            tensors[name] = tensors[random.choice(sorted(tensors))]


def test_checkpoints(fuzz: Fuzz) -> None:
    begun = fresh()
    train(begun, 2)
    begun.kept = {"outer": torch.ones(3)}
    begun.history = [{"round": 1, "peers": [1, 2]}]
    known = json.loads(json.dumps(dict(snapshot(begun).metadata)))
    whole = Artifact(snapshot(begun).tensors, known)

    def case(random: Random) -> str:
        artifacts = MemoryArtifacts()
        try:
            artifacts.publish(names.checkpoint_ref(STEP, 3), altered_checkpoint(random, whole))
        except RejectedError:  # no JSON, or a dtype that does not travel
            return "not written"
        if random.random() < 0.5:
            artifacts.publish(names.checkpoint_ref(STEP, 2), whole)
        found = resume(artifacts, STEP, fresh)
        again = snapshot(found.state)
        artifacts.publish(names.checkpoint_ref(STEP, number_of(found.state)), again)
        if found.state.step == 0:
            return "begun anew"
        restore(fresh(), again)
        train(found.state, min(4, found.state.step + 1))
        return "gone on, with a note" if ";" in found.note else "gone on"

    fuzz.run("checkpoints", case, {"begun anew", "gone on", "gone on, with a note"})
