"""A client, a server and a bucket behind a link that is slower than any of their deadlines."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
import torch
from s3_server import S3Server, Uplink
from serving import serving

from atoll_api.names import Ref
from atoll_worker.errors import RejectedError
from atoll_worker.exchange.client import ExchangeClient
from atoll_worker.exchange.connection import Patience
from atoll_worker.exchange.objects import PART_BYTES, open_bucket
from atoll_worker.exchange.store import Store
from atoll_worker.ports import Artifact

pytestmark = pytest.mark.slow
PARTS = 5
SMALL = Artifact({"w": torch.ones(3)})


def of_parts(count: int) -> Artifact:
    return Artifact({"w": torch.ones(count * PART_BYTES - PART_BYTES // 2, dtype=torch.uint8)})


@pytest.fixture
def s3() -> Iterator[S3Server]:
    server = S3Server()
    yield server
    server.kill()


@pytest.fixture
def uplink(s3: S3Server) -> Uplink:
    options = {"retry_config": {"max_retries": 0, "retry_timeout": timedelta(seconds=1)}}
    bucket = s3.bucket_of(Uplink, "p", **options)
    bucket.allowed = threading.Semaphore(0)
    return bucket


@pytest.fixture
def store(uplink: Uplink, tmp_path: Path) -> Iterator[Store]:
    with closing(open_bucket(uplink, tmp_path, "s3://artifacts/p")) as store:
        yield store


def test_patience_lasts_while_a_bucket_takes_anything(store: Store, uplink: Uplink) -> None:
    def trickle() -> None:
        for _ in range(PARTS):
            time.sleep(4.0)  # a part each: 20 s in all, and more than the patience of the client
            uplink.allowed.release()

    thread = threading.Thread(target=trickle)
    with serving(store) as served:
        thread.start()
        with ExchangeClient(served.address, served.credentials(), Patience(12, 12)) as client:
            binding = client.publish(Ref("experts/0"), of_parts(PARTS))
            thread.join()
            assert set(client.bindings()) == {"experts/0"}
    assert binding.size_bytes > (PARTS - 1) * PART_BYTES


def test_nobody_waits_for_those_who_wait(store: Store, uplink: Uplink) -> None:
    large = of_parts(2)
    with serving(store) as served:
        clients = [
            ExchangeClient(served.address, served.credentials(index=i), Patience(60, 60))
            for i in range(9)
        ]
        threads = [
            threading.Thread(target=client.publish, args=(Ref(f"experts/{i}"), large))
            for i, client in enumerate(clients[:8])
        ]
        for thread in threads:
            thread.start()
        time.sleep(8.0)  # more than the hub has threads stand before a bucket that takes nothing
        clients[8].publish(Ref("experts/8"), SMALL)
        assert [bound.ref for bound in store.bindings()] == ["experts/8"]
        uplink.allowed.release(1000)
        for thread in threads:
            thread.join()
        assert len(store.bindings()) == 9
        for client in clients:
            client.close()


def test_credentials_that_are_refused_later_end_a_step_for_good(store: Store, s3: S3Server) -> None:
    with serving(store) as served:
        s3.require_credentials()
        with (
            ExchangeClient(served.address, served.credentials(), Patience(60, 60)) as client,
            pytest.raises(RejectedError, match="the access key is not known there: check AWS_"),
        ):
            client.publish(Ref("experts/0"), SMALL)
