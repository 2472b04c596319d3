"""A client that dies in the middle: it watches, uploads a part of an artifact, and kills itself.

Its paper is the first line of standard input; then the address of the hub, and a number that makes
its artifact one of its own. Its end is SIGKILL.
"""

import json
import os
import signal
import sys
import time
from typing import Any, Final

import grpc
from blake3 import blake3
from papers import Paper, credentials

from atoll.exchange.v1 import exchange_pb2 as pb
from atoll.exchange.v1 import exchange_pb2_grpc as exchange_grpc
from atoll_worker.exchange.content import Blob
from atoll_worker.exchange.manifest import Manifest, TensorEntry

BLOB_BYTES: Final = 2 << 20
SENT_BYTES: Final = 1 << 19
CALL_SECONDS: Final = 20.0
ON_THE_WAY_SECONDS: Final = 0.3


def manifest(blob: bytes) -> bytes:
    """Of one tensor of bytes, as `docs/artifacts.md` has it."""
    it = Blob(f"blake3:{blake3(blob).hexdigest()}", len(blob))
    return Manifest((TensorEntry("victim", "uint8", (len(blob),), "raw", (it,)),)).to_bytes()


def main() -> None:
    """Die."""
    paper: Paper = json.loads(sys.stdin.readline())
    address, number = json.loads(sys.stdin.readline())
    proof = credentials(paper)
    options = (("grpc.ssl_target_name_override", proof.hub.host),)
    channel = grpc.secure_channel(address, proof.for_channel(), options)
    stub: Any = exchange_grpc.ExchangeServiceStub(channel)
    watch = stub.Watch(pb.WatchRequest(prefixes=["islands/"]))
    watch.initial_metadata()
    blob = number.to_bytes(8, "big") * (BLOB_BYTES // 8)
    ref = f"checkpoints/{proof.process.step}/victim-{number}"
    asked = pb.MissingRequest(ref=ref, manifest=manifest(blob))
    session = stub.Missing(asked, timeout=CALL_SECONDS)

    def part() -> Any:
        yield pb.PublishRequest(session_id=session.session_id, content=blob[:SENT_BYTES])
        while True:
            signal.pause()

    stub.Publish(part())
    time.sleep(ON_THE_WAY_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
