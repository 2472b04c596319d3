"""Every problem of a document, each with its path and what to do."""

from typing import Any

import pytest
from builders import job_document, make_job
from hypothesis import example, given
from hypothesis import strategies as st

from atoll_api.problems import InvalidJobError, parse_job, warnings


def problems_of(document: object) -> list[str]:
    with pytest.raises(InvalidJobError) as caught:
        parse_job(document)
    return [str(problem) for problem in caught.value.problems]


def test_the_smallest_job_gets_every_default() -> None:
    job = make_job()
    assert job.spec.task.diffusion is not None
    assert job.spec.task.diffusion.architecture.mlp is not None
    assert job.spec.task.diffusion.architecture.mlp.width == 64
    assert job.spec.islands.required == 4
    assert parse_job(job.to_document()) == job


def test_all_problems_come_at_once() -> None:
    document = job_document(
        **{
            "islands.quorum": 5,
            "training.stepz": 10,
            "task.diffusion": {"path": "linear", "architecture": {"type": "MLP", "dit": {}}},
            "evaluation.strategies": ["Full", "Topk"],
        }
    )
    document["kind"] = "TrainJob"
    found = problems_of(document)
    assert len(found) == 6
    expected = {
        "kind: 'TrainJob' is not accepted; accepted: TrainingJob (did you mean TrainingJob?)",
        "spec.task.diffusion.architecture.dit: not allowed beside type MLP: only `mlp` may be set",
        (
            "spec.task.diffusion.path: 'linear' is not accepted; accepted: Linear, Cosine "
            "(did you mean Linear?)"
        ),
        "spec.islands.quorum: 5 islands must finish, but there are 4 (say 4 or less)",
    }
    assert expected < set(found)
    assert any(line.startswith("spec.training.stepz: unknown key;") for line in found)
    assert any("did you mean steps?" in line for line in found)
    assert any("did you mean TopK?" in line for line in found)


def test_a_member_of_a_union_that_is_null_is_as_if_it_were_left_out() -> None:
    """As an API server takes it; `expertEnsemble:` with nothing behind it is easily written."""
    assert make_job(**{"strategy.expertEnsemble": None}) == make_job()
    assert make_job(**{"task.diffusion": {"architecture": {"mlp": None}}}) == make_job()
    custom = problems_of(job_document(task={"type": "Custom", "custom": None}))
    assert custom == ["spec.task.custom.entrypoint: is required"]


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("labels", {"a b": "c"}, "metadata.labels['a b']: 'a b' is not accepted (letters, digits"),
        ("labels", {"a": "b c"}, "metadata.labels.a: 'b c' is not accepted (letters, digits, '-'"),
        ("annotations", {"": "any thing"}, "metadata.annotations['']: '' is not accepted"),
        ("namespace", "a.b", "metadata.namespace: 'a.b' is not accepted (lower-case letters,"),
    ],
)
def test_metadata_are_what_a_cluster_takes(field: str, value: object, expected: str) -> None:
    document = job_document()
    document["metadata"][field] = value
    (problem,) = problems_of(document)
    assert problem.startswith(expected)


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("islands.count", "4", "spec.islands.count: '4': should be a valid integer"),
        ("islands.count", 0, "spec.islands.count: 0: should be greater than or equal to 1"),
        ("islands.count", True, "spec.islands.count: True: should be a valid integer"),
        ("islands", None, "spec.islands: None: should be a mapping"),
        ("data.source", "s3://bucket/x", "spec.data.source: 's3://bucket/x' is not accepted"),
        ("data.source", "builtin://digit", "did you mean builtin://digits?"),
        ("data.holdout", 1.0, "spec.data.holdout: 1.0: should be less than 1"),
        ("data.imageSize", 8, "spec.data.imageSize: is only for folders of images"),
        ("training.batchSizePerIsland", 8, "should be greater than or equal to 16"),
        ("training.optimizer.learningRate", float("nan"), "should be a finite number"),
        ("training.optimizer.learningRate", "1e-3", "should be a valid number"),
        ("partition.featureClusters.fineClusters", 2, "2 fine clusters cannot make 4 parts"),
        ("partition", {"type": "Random", "featureClusters": {}}, "it takes no settings"),
        (
            "partition",
            {"type": "Zones"},
            "accepted: FeatureClusters, TextClusters, Dirichlet, Random",
        ),
        ("strategy.type", "FedAvg", "accepted: ExpertEnsemble"),
        ("task", {"type": "Custom"}, "spec.task.custom.entrypoint: is required"),
        ("task", {"type": "Custom", "custom": {"entrypoint": "x"}}, "say package.module:ClassName"),
        ("evaluation.strategies", [], "should have at least 1 item"),
        ("evaluation.strategies", ["Full", "Full"], "Full stands twice"),
        ("evaluation.strategies", "Full", "spec.evaluation.strategies: 'Full'"),
        (
            "strategy.expertEnsemble.combine",
            {"type": "TopK", "topK": {"k": 9}},
            "9 experts are more than the 4 islands",
        ),
        (
            "task.diffusion.architecture",
            {"type": "DiT", "dit": {"width": 50, "heads": 4}},
            "50 is not a multiple of 4 and of 4 heads (say 48)",
        ),
    ],
)
def test_one_problem(field: str, value: object, expected: str) -> None:
    assert expected in "\n".join(problems_of(job_document(**{field: value})))


@pytest.mark.parametrize("document", [None, [], "text", 3, {}, {"spec": []}, {"spec": {"a": {}}}])
def test_no_document_is_an_accident(document: object) -> None:
    assert problems_of(document)


@pytest.mark.parametrize("name", ["Digits", "1st", "a" * 41, "", "a_b", "a-"])
def test_names_a_service_could_not_have(name: str) -> None:
    document = job_document()
    document["metadata"]["name"] = name
    assert problems_of(document)[0].startswith("metadata.name: ")


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("training.batchSizePerIsland", 16, "experts train poorly below 32"),
        ("strategy.expertEnsemble.combine.type", "TopK", "collapses the samples"),
    ],
)
def test_warnings(field: str, value: Any, expected: str) -> None:
    assert not warnings(make_job().spec)
    (warning,) = warnings(make_job(**{field: value}).spec)
    assert expected in str(warning)


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
documents = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner)
)


@given(
    st.sampled_from(["task", "data", "islands", "training", "strategy", "evaluation.strategies"]),
    documents,
)
@example(field="task", nonsense={"type": []})
def test_nonsense_is_a_problem_never_a_crash(field: str, nonsense: object) -> None:
    try:
        parse_job(job_document(**{field: nonsense}))
    except InvalidJobError as error:
        assert error.problems
        assert all("\n" not in problem.path for problem in error.problems)


def test_a_transformer_of_many_narrow_heads_is_accepted() -> None:
    dit = {"type": "DiT", "dit": {"width": 48, "heads": 8}}
    assert make_job(**{"task.diffusion": {"architecture": dit}}).spec.task.type == "Diffusion"


def test_a_document_that_is_too_deep_is_refused() -> None:
    """Of 2,000 levels in a field that takes anything, nothing was said but RecursionError."""
    deep: dict[str, Any] = {}
    for _ in range(2000):
        deep = {"a": deep}
    document = job_document(template={})
    document["spec"]["template"]["affinity"] = deep
    assert problems_of(document) == ["the document: has more than 100 levels"]


def test_references_to_references_are_counted_not_followed() -> None:
    """Nine lines of YAML are 10^9 values; to show them took all memory."""
    value: Any = "lol"
    for _ in range(9):
        value = [value] * 10
    document = job_document(seed=value)
    assert problems_of(document) == ["the document: has more than 1000000 values"]


@pytest.mark.parametrize(
    "changes", [{"data.source": "builtin://" + "a" * 30_000}, {"a" * 30_000: 1}]
)
def test_what_a_user_wrote_is_shown_in_short(changes: dict[str, Any]) -> None:
    (found,) = problems_of(job_document(**changes))
    assert len(found) < 1000
    assert "aaa..." in found


@pytest.mark.parametrize(
    "template", [{"annotations": {"a": "\ud800"}}, {"affinity": {"\ud800": 1}}]
)
def test_text_that_no_file_can_hold_is_refused(template: dict[str, Any]) -> None:
    """It was accepted, and no process could read the order that it stood in."""
    (found,) = problems_of(job_document(template=template))
    assert found == r"the document: '\ud800' is no text: it holds half of a pair of surrogates"
