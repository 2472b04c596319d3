"""The operator's conversation with a hub: how far the steps are and what is bound.

The only gRPC code of the operator. A hub that does not answer changes nothing: the caller goes
on with what it heard last.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import grpc

from atoll.exchange.v1 import exchange_pb2 as exchange_pb
from atoll.exchange.v1 import exchange_pb2_grpc as exchange_grpc
from atoll.progress.v1 import progress_pb2 as pb
from atoll.progress.v1 import progress_pb2_grpc as progress_grpc
from atoll_api import names
from atoll_api.names import Process, Ref, StepName
from atoll_api.status import Metric
from atoll_operator.errors import HubUnavailableError
from atoll_operator.identity import Identity
from atoll_operator.last_words import printable
from atoll_operator.plan.model import Binding, StepProgress

TIMEOUT_SECONDS: Final = 2.0
_OPTIONS: Final = (
    ("grpc.enable_http_proxy", 0),
    ("grpc.max_receive_message_length", 16 * 1024 * 1024),
    ("grpc.max_reconnect_backoff_ms", 1000),
)


async def snapshot(
    address: str, identity: Identity
) -> tuple[Mapping[StepName, StepProgress], Mapping[Ref, Binding]]:
    """The last report of each step, and what is bound, at the hub of HOST:PORT.

    Raises:
        HubUnavailableError: no answer within `TIMEOUT_SECONDS`, or not to this identity.
    """
    async with _channel(address, identity) as channel:
        stub = progress_grpc.ProgressServiceStub(channel)
        try:
            answer = await stub.GetSnapshot(pb.GetSnapshotRequest(), timeout=TIMEOUT_SECONDS)
        except grpc.aio.AioRpcError as error:
            raise _unavailable(address, error) from error
    steps = {StepName(step.step_name): _progress(step) for step in answer.steps}
    return steps, {Ref(it.ref): _binding(it) for it in answer.bindings}


async def drop(address: str, identity: Identity, refs: Sequence[Ref]) -> None:
    """Unbind refs; those that are not bound are passed over.

    Raises:
        HubUnavailableError: no answer within `TIMEOUT_SECONDS`, or not to this identity.
    """
    async with _channel(address, identity) as channel:
        stub = exchange_grpc.ExchangeServiceStub(channel)
        try:
            await stub.Drop(exchange_pb.DropRequest(refs=refs), timeout=TIMEOUT_SECONDS)
        except grpc.aio.AioRpcError as error:
            raise _unavailable(address, error) from error


async def excuse(address: str, identity: Identity, refs: Sequence[Ref]) -> None:
    """Bind refs to nothing; those that are bound stay so.

    Raises:
        HubUnavailableError: no answer within `TIMEOUT_SECONDS`, or not to this identity.
    """
    async with _channel(address, identity) as channel:
        stub = exchange_grpc.ExchangeServiceStub(channel)
        try:
            for ref in refs:
                await stub.Excuse(exchange_pb.ExcuseRequest(ref=ref), timeout=TIMEOUT_SECONDS)
        except grpc.aio.AioRpcError as error:
            raise _unavailable(address, error) from error


def _channel(address: str, identity: Identity) -> grpc.aio.Channel:
    # A channel belongs to its event loop, and a poll is too rare for keeping one to pay.
    proof = grpc.ssl_channel_credentials(identity.authority, identity.key, identity.certificate)
    hub = Process(identity.process.job_uid, names.HUB).host
    options = (*_OPTIONS, ("grpc.ssl_target_name_override", hub))
    return grpc.aio.secure_channel(address, proof, options=options)


def _unavailable(address: str, error: grpc.aio.AioRpcError) -> HubUnavailableError:
    details = " ".join((error.details() or error.code().name).split())
    return HubUnavailableError(f"the hub at {address} did not answer: {details}")


def _progress(step: pb.StepProgress) -> StepProgress:
    return StepProgress(
        done=step.done_count,
        total=step.total_count,
        loss=step.loss if step.HasField("loss") else None,
        samples_per_second=(
            step.samples_per_second if step.HasField("samples_per_second") else None
        ),
        message=printable(step.message),
        metrics=tuple(Metric(name=m.name, model=m.model, value=m.value) for m in step.metrics),
    )


def _binding(binding: exchange_pb.Binding) -> Binding:
    return Binding(
        digest=binding.manifest_digest,
        size_bytes=binding.size_bytes,
        parents=tuple(binding.parent_digests),
    )
