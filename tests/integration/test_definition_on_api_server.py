"""The definition before a real API server: each of its rules refuses, and what the types accept
is never refused, nor anything else when it comes back."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from cel_cases import CelCase, cel_cases
from dry_runs import DryRuns, RefusedError, dry_runs
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from written_jobs import documents, each_value

from atoll_api import names
from atoll_api.spec import Metadata, TrainingJob, TrainingJobSpec
from atoll_api.spec.strategy import Strategy

EXAMPLES = 150
"""For each strategy; about 15 ms each."""
TEMPLATES = ("template", "overrides")


@pytest.fixture(scope="module")
def server() -> Iterator[DryRuns]:
    with dry_runs() as found:
        yield found


@pytest.mark.parametrize("case", [*cel_cases()], ids=str)
def test_a_rule_refuses_with_its_message(server: DryRuns, case: CelCase) -> None:
    with pytest.raises(RefusedError) as caught:
        server.create(case.after) if case.before is None else server.change(case.before, case.after)
    (cause,) = caught.value.causes
    assert cause.field == (case.field or "<nil>")
    assert cause.message.startswith("Invalid value: ")
    assert cause.message.endswith(f": {case.message}")


def document(spec: object, metadata: object = None) -> dict[str, Any]:
    kind = {"apiVersion": names.API_VERSION, "kind": names.KIND}
    return {**kind, "metadata": metadata or {"name": "a"}, "spec": spec}


def complaint(server: DryRuns, written: dict[str, Any]) -> str:
    """What is wrong with how the server takes a job that the types accept; empty for nothing."""
    meant = TrainingJob.from_document(written)
    try:
        kept = server.create(written)
    except RefusedError as error:
        return f"{written} is refused: {error}"
    read = TrainingJob.from_document({**written, "spec": kept["spec"]})
    return "" if read == meant else f"{written} comes back as {kept['spec']}"


def is_valid(written: Mapping[str, Any]) -> bool:
    try:
        job = TrainingJob.from_document(written)
    except ValidationError:
        return False
    return job.spec.islands.required <= job.spec.islands.count


def written_specs() -> Iterator[dict[str, Any]]:
    """Templates in one place: unit tests see that they are the same in the others."""
    for spec in each_value(TrainingJobSpec):
        if "roles" not in spec and not set(TEMPLATES) & set(spec["islands"]):
            yield spec


@pytest.mark.slow
def test_each_value_that_the_types_accept_is_accepted_and_kept(server: DryRuns) -> None:
    written = [document(spec) for spec in written_specs()]
    valid = [it for it in written if is_valid(it)]
    assert len(valid) > 0.99 * len(written) > 2000
    assert list(filter(None, (complaint(server, it) for it in valid))) == []


def test_each_value_of_the_metadata_is_accepted(server: DryRuns) -> None:
    least = next(written_specs())
    written = [it for it in each_value(Metadata) if "namespace" not in it]
    found = (complaint(server, document(least, it)) for it in written)
    assert list(filter(None, found)) == []


@pytest.mark.parametrize("strategy", ["ExpertEnsemble", "IterativeMerge", "SingleMerge"])
def test_whatever_the_types_accept_is_accepted_and_kept(server: DryRuns, strategy: str) -> None:
    accepted = 0

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def see(data: st.DataObject) -> None:
        nonlocal accepted
        chosen = documents(Strategy).filter(lambda it: it["type"] == strategy)
        written = document(data.draw(documents(TrainingJobSpec)) | {"strategy": data.draw(chosen)})
        if is_valid(written):
            accepted += 1
            assert complaint(server, written) == ""

    see()
    assert accepted > EXAMPLES / 2
