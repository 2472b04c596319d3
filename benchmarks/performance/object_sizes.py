"""How large the objects of one job are, by the number of its islands, against what a cluster takes.

etcd takes a request of 1.5 MiB, a ConfigMap or a Secret has 1 MiB of data, and the annotations of an
object 256 KiB (`kubectl apply` keeps what it was given in one). Objects are those that the operator
writes, with certificates as it issues them; a status is the worst there may be: as many islands as it
lists, each failed with the longest last words and a full history. A hub's answer to the operator is
the protobuf message, with all islands at work and two checkpoints of each. Jobs of more islands than
the API takes are made up. Nothing is sent anywhere.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from figures import Figure, Target, parser, say, tell
from plan_time import NOW

from atoll.exchange.v1 import exchange_pb2 as pb
from atoll.progress.v1 import progress_pb2 as progress_pb
from atoll_api import names
from atoll_api.problems import parse_job
from atoll_api.resolved_job import ResolvedJob
from atoll_api.spec import TrainingJobSpec
from atoll_api.status import Moment, StepStatus, TrainingJobStatus
from atoll_api.work_order import JobIdentity
from atoll_operator.identity import Authority
from atoll_operator.kubernetes.manifests import identities
from atoll_operator.kubernetes.manifests.blueprint import Blueprint, Settings
from atoll_operator.kubernetes.manifests.identities import KeyPair
from atoll_operator.kubernetes.manifests.job_objects import commitment, surroundings
from atoll_operator.kubernetes.manifests.jobs import islands_job, shares_one_job, step_job
from atoll_operator.last_words import MESSAGE_BYTES
from atoll_operator.plan.history import REMEMBERED
from atoll_operator.plan.model import Binding, Child, ChildState, Hub, Observed
from atoll_operator.plan.pipeline import pipeline
from atoll_operator.plan.plan import plan
from atoll_operator.plan.status import status

SIZES: Final = (10, 100, 1000, 2000, 10_000)
REQUEST_BYTES: Final = 1536 * 1024
DATA_BYTES: Final = 1024 * 1024
ANNOTATION_BYTES: Final = 256 * 1024
ANSWER_BYTES: Final = 16 * 1024 * 1024
"""What the operator takes of a hub."""
DENSE: Final = ("Bipartite", "FullyConnected")
"""Every island has so many neighbours that to list the edges of 10,000 takes a machine's memory."""
UID: Final = "0d6bf2a5-5f0c-4c3f-9c3b-0a6f3a1b2c4d"

Json = dict[str, Any]


@dataclass(frozen=True)
class Size:
    """The largest object of a kind."""

    kind: str
    size_bytes: int
    limit_bytes: int
    count: int = 1
    """Of that kind."""

    @property
    def fits(self) -> bool:
        """Whether a cluster takes it."""
        return self.size_bytes <= self.limit_bytes


def strategies() -> Mapping[str, Json]:
    """Whatever makes objects of another kind, or another size."""
    graphs = ("Ring", "Torus", "Exponential", *DENSE)
    return {
        "ExpertEnsemble": {"type": "ExpertEnsemble"},
        **{f"IterativeMerge, {it}": _merge(it) for it in graphs},
        # As few rounds as so many islands can keep record of.
        "SingleMerge": {"type": "SingleMerge", "singleMerge": {"gossip": {"stepsPerRound": 200}}},
    }


def _merge(graph: str) -> Json:
    return {"type": "IterativeMerge", "iterativeMerge": {"topology": {"type": graph}}}


def spec_of(strategy: Json, islands: int) -> TrainingJobSpec:
    """A job of so many islands, which may be more than the API takes."""
    document = {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "metadata": {"name": "wide"},
        "spec": {
            "task": {"type": "Diffusion"},
            "data": {"source": "builtin://digits"},
            "islands": {"count": 4 if islands % 4 == 0 else 10},
            "strategy": strategy,
        },
    }
    spec = parse_job(document).spec
    return spec.model_copy(update={"islands": spec.islands.model_copy(update={"count": islands})})


def blueprint_of(spec: TrainingJobSpec) -> Blueprint:
    """The job as an operator has accepted it."""
    resolved = ResolvedJob.model_construct(
        schema_version=1,
        job=JobIdentity(name="wide", uid=UID),
        namespace="lab",
        spec=spec,
        image="registry.example.org/atoll/worker@sha256:" + "0" * 64,
        fingerprint="5f0c4c3f9c3b",
    )
    return Blueprint(resolved, Settings("0.1.0", "atoll-system", {"app": "atoll"}))


def objects(blueprint: Blueprint) -> Iterator[Json]:
    """All that the operator writes for a job, and one Job of each kind of step."""
    spec = blueprint.resolved.spec
    authority = Authority(UID, datetime.now(UTC))
    issued = {}
    for process in identities.processes(blueprint.resolved):
        identity = authority.issue(process)
        issued[process] = KeyPair(identity.certificate, identity.key)
    yield from commitment(blueprint, 2 * authority.certificate, issued)
    yield from surroundings(blueprint)
    if shares_one_job(spec):
        yield islands_job(blueprint)
    for step in pipeline(spec):
        if step.island is None or (step.island == 0 and not shares_one_job(spec)):
            yield step_job(blueprint, step)


def sizes(spec: TrainingJobSpec) -> list[Size]:
    """The largest object of each kind."""
    found: dict[str, list[int]] = {}
    for body in objects(blueprint_of(spec)):
        found.setdefault(body["kind"], []).append(_data(body) or len(_bytes(body)))
    listed = [
        Size(kind, max(each), _limit(kind), len(each)) for kind, each in sorted(found.items())
    ]
    return [
        *listed,
        Size("TrainingJob with its status", len(_bytes(training_job(spec))), REQUEST_BYTES),
        Size("TrainingJob as an annotation", len(_bytes(spec.to_document())), ANNOTATION_BYTES),
        Size("answer of a hub", answer(spec).ByteSize(), ANSWER_BYTES),
    ]


def training_job(spec: TrainingJobSpec) -> Json:
    """The object, with a status that could not be larger."""
    said = worst_status(spec).to_document()
    kind = {"apiVersion": names.API_VERSION, "kind": names.KIND}
    return {**kind, "metadata": {"name": "wide"}, "spec": spec.to_document(), "status": said}


def worst_status(spec: TrainingJobSpec) -> TrainingJobStatus:
    """Every island has failed at length, after all that a history remembers."""
    steps = pipeline(spec)
    words = "x" * MESSAGE_BYTES
    dead = Child(ChildState.FAILED, 3, 137, words, NOW)
    children = {it.name: dead for it in steps}
    bound = {names.expert_ref(it): Binding("blake3:" + "0" * 64, 10**9) for it in range(200)}
    bound |= {it.writes: Binding("blake3:" + "0" * 64, 10**9) for it in steps if it.island is None}
    hub = Hub(Child(ChildState.RUNNING), "hub:9443")
    observed = Observed(NOW, hub, children, bound)
    said = status(spec, observed, plan(spec, observed, NOW), None, NOW)
    told = tuple(
        Moment(state="Running", since="2026-01-31T12:00:00.250Z") for _ in range(REMEMBERED)
    )
    return said.model_copy(update={"islands": tuple(_told(it, told) for it in said.islands)})


def _told(step: StepStatus, history: tuple[Moment, ...]) -> StepStatus:
    return step.model_copy(update={"history": history})


def answer(spec: TrainingJobSpec) -> progress_pb.GetSnapshotResponse:
    """What a hub says of a job at work."""
    steps = pipeline(spec)
    digest = "blake3:" + "0" * 64
    refs = [names.island_assignment_ref(it) for it in range(spec.islands.count)]
    refs += [names.checkpoint_ref(it.name, number) for it in steps for number in (99998, 99999)]
    wire = [
        progress_pb.WireBytes(peer=it, sent_bytes=10**9, received_bytes=10**9)
        for it in ("hub", "island", "other")
    ]
    return progress_pb.GetSnapshotResponse(
        steps=[
            progress_pb.StepProgress(
                step_name=it.name,
                done_count=99_999,
                total_count=100_000,
                loss=0.123456789,
                samples_per_second=1234.5,
                message="step 99999 of 100000",
                training_wire=wire,
            )
            for it in steps
        ],
        bindings=[pb.Binding(ref=it, manifest_digest=digest, size_bytes=10**9) for it in refs],
    )


def _data(body: Json) -> int:
    """Of a ConfigMap or a Secret: what its limit is about."""
    if body["kind"] == "Secret":
        return sum(len(key) + 3 * len(value) // 4 for key, value in body["data"].items())
    if body["kind"] == "ConfigMap":
        return sum(len(key) + len(value) for key, value in body["data"].items())
    return 0


def _limit(kind: str) -> int:
    return DATA_BYTES if kind in ("ConfigMap", "Secret") else REQUEST_BYTES


def _bytes(body: Json) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode()


def measure(counts: tuple[int, ...], judged: int) -> list[Figure]:
    """The largest of each kind at each size; those up to `judged` islands have a target."""
    found = []
    for label, strategy in strategies().items():
        dense = label.endswith(DENSE)
        for count in (it for it in counts if not dense or it <= judged):
            say(f"{label}, {count} islands")
            for it in sizes(spec_of(strategy, count)):
                target = Target(it.limit_bytes / 1024) if count <= judged else None
                many = f" ({it.count} of them)" if it.count > 1 else ""
                name = f"{label}, {count:,} islands: {it.kind}{many}"
                found.append(Figure(name, it.size_bytes / 1024, "KiB", target))
                if not it.fits:
                    say(f"  too large: {it.kind}, {it.size_bytes:,} of {it.limit_bytes:,} bytes")
    return found


def main() -> None:
    """Measure, print, and write JSON where asked."""
    options = parser(__doc__, "up to 2,000 islands").parse_args()
    tell(measure(SIZES[:-1] if options.quick else SIZES, 2000), options.json)


if __name__ == "__main__":
    main()
