"""Alignment undoes a permutation, changes no function, and makes averages of strangers work."""

import copy

import pytest
import torch
from networks import Case, classifier, documents, network, tokens
from torch import Tensor, nn

from atoll_api.spec.merging import Align
from atoll_worker.errors import BadTaskError, ContractError
from atoll_worker.merge.activation_matching import activation_similarities
from atoll_worker.merge.align import Alignment, align
from atoll_worker.merge.permute import invert, permute, random_permutations
from atoll_worker.merge.probe import Probe
from atoll_worker.tasks.base import Inputs
from atoll_worker.tasks.language.gpt import Gpt
from atoll_worker.tasks.structure import declared_structure

CASES = {name: network(document) for name, document in documents()}
ACTIVATIONS = Align(type="ActivationMatching")
WEIGHTS = Align(type="WeightMatching")


def probe_of(case: Case) -> Probe:
    """128 inputs in the network's own terms, in float64 as its weights are, or bytes."""
    generator = torch.Generator().manual_seed(7)
    if isinstance(case.model, Gpt):
        x = tokens(128, generator)
    else:
        x = torch.randn(128, 1, 8, 8, generator=generator, dtype=torch.float64)
    time = torch.rand(128, generator=generator, dtype=torch.float64)
    labels = torch.randint(10, (128,), generator=generator)
    return Probe(Inputs(x, x, time, labels), ask)


def ask(model: nn.Module, inputs: Inputs) -> Tensor:
    conditioned = hasattr(model, "condition")
    given = (inputs.x_BD, inputs.time_B, inputs.label_B) if conditioned else (inputs.x_BD,)
    answer: Tensor = model(*given)
    return answer


def shuffled(case: Case, seed: int = 3) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    structure = declared_structure(case.model)
    permutations = random_permutations(structure, torch.Generator().manual_seed(seed))
    return permute(case.model.state_dict(), structure, permutations), permutations


@pytest.mark.parametrize("settings", [ACTIVATIONS, WEIGHTS], ids=lambda it: it.type)
@pytest.mark.parametrize("name", CASES)
def test_a_shuffled_copy_is_put_back(name: str, settings: Align) -> None:
    case = CASES[name]
    other, permutations = shuffled(case)
    aligned = align(case.model, case.model.state_dict(), other, settings, probe_of(case), 0)
    live = live_units(case)
    assert sum(int(units.sum()) for units in live.values()) > 0
    for group, order in invert(permutations).items():
        assert torch.equal(aligned.permutations[group][live[group]], order[live[group]])
    assert all(match.after > match.before for match in aligned.matches)
    if all(bool(units.all()) for units in live.values()):
        tensors = case.model.state_dict()
        assert all(torch.equal(aligned.tensors[key], tensors[key]) for key in tensors)


def live_units(case: Case) -> dict[str, Tensor]:
    """Those that answer the probe with more than one value."""
    tensors, structure = case.model.state_dict(), declared_structure(case.model)
    own = activation_similarities(case.model, structure, tensors, tensors, probe_of(case))
    return {group: similarity.diagonal() > 0.99 for group, similarity in own.items()}


@pytest.mark.parametrize("settings", [ACTIVATIONS, WEIGHTS], ids=lambda it: it.type)
@pytest.mark.parametrize("name", ["MLP-None", "CNN-GroupNorm", "Diffusion-DiT-Class", "GPT"])
def test_a_stranger_keeps_its_function_and_comes_closer(name: str, settings: Align) -> None:
    case, stranger = CASES[name], network(dict(documents())[name], seed=1).model.state_dict()
    aligned = aligned_twice(case, stranger, settings)
    before, after = case.answer(stranger), case.answer(aligned.tensors)
    assert float((before - after).abs().max() / before.abs().max()) < 1e-9
    assert any(match.after > match.before for match in aligned.matches)
    assert all(match.after >= match.before - 1e-6 for match in aligned.matches)


def aligned_twice(case: Case, stranger: dict[str, Tensor], settings: Align) -> Alignment:
    """The same question has the same answer, and asking changes neither network nor weights."""
    model, reference = case.model, case.model.state_dict()
    kept = copy.deepcopy((reference, stranger))
    first, second = (
        align(model, reference, stranger, settings, probe_of(case), 0) for _ in range(2)
    )
    assert all(torch.equal(first.tensors[key], second.tensors[key]) for key in first.tensors)
    assert first.matches == second.matches
    for now, then in zip((model.state_dict(), stranger), kept, strict=True):
        assert all(torch.equal(now[key], then[key]) for key in then)
    assert model.training
    return first


def test_a_network_is_not_moved_by_itself() -> None:
    case = CASES["CNN-BatchNorm"]
    tensors = case.model.state_dict()
    for settings in (ACTIVATIONS, WEIGHTS):
        aligned = align(case.model, tensors, tensors, settings, probe_of(case), 0)
        assert all(
            order.tolist() == list(range(len(order))) for order in aligned.permutations.values()
        )


def test_one_sample_tells_nothing_apart() -> None:
    case = CASES["MLP-BatchNorm"]
    other, _ = shuffled(case)
    inputs = next(probe_of(case).chunks())
    one = Inputs(inputs.x_BD[:1], inputs.target_BD[:1], inputs.time_B[:1], None)
    aligned = align(case.model, case.model.state_dict(), other, ACTIVATIONS, Probe(one, ask), 0)
    assert all(torch.equal(aligned.tensors[name], tensor) for name, tensor in other.items())


class Plain(nn.Module):
    """What a user brings who never heard of structures."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)


@pytest.mark.parametrize("settings", [ACTIVATIONS, WEIGHTS], ids=lambda it: it.type)
def test_a_network_without_structure_is_refused(settings: Align) -> None:
    model = Plain()
    tensors = model.state_dict()
    with pytest.raises(BadTaskError, match="Plain cannot be aligned"):
        align(model, tensors, tensors, settings, probe_of(CASES["MLP-None"]), 0)


def test_weights_that_do_not_belong_here_are_refused() -> None:
    case = CASES["MLP-None"]
    good, probe = case.model.state_dict(), probe_of(case)
    missing = {key: value for key, value in good.items() if key != "leave.bias"}
    wider = network(classifier("MLP", "None", mlp={"width": 32})).model.state_dict()
    broken = good | {"leave.bias": torch.full((10,), torch.nan, dtype=torch.float64)}
    for tensors, message in (
        (missing, "other tensors than the job's, such as leave.bias"),
        (wider, r"of the other network has shape \(32, 64\), not \(24, 64\)"),
        (broken, "leave.bias of the other network is not finite"),
    ):
        with pytest.raises(ContractError, match=message):
            align(case.model, good, tensors, ACTIVATIONS, probe, 0)


def test_activations_that_overflow_are_refused() -> None:
    case = CASES["MLP-None"]
    good = case.model.state_dict()
    huge = {key: value * 1e200 for key, value in good.items()}
    with pytest.raises(ContractError, match=r"activations of hidden\.\d are not finite"):
        align(case.model, good, huge, ACTIVATIONS, probe_of(case), 0)
