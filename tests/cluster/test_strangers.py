"""Pods of a job's namespace that are no part of it: what its hub and its islands tell them is nothing."""

import base64
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from kubectl import Kubectl, python_pod
from lab import SMALL, runs, submit, until

from atoll_api import names
from atoll_api.names import Process
from atoll_operator.identity import Authority

pytestmark = pytest.mark.timeout(600)

JOB = "guarded"
MERGING: Mapping[str, Any] = {
    **SMALL,
    "task": {"type": "Classification"},
    "islands.count": 3,
    "training.steps": 100_000,
    "strategy": {"type": "IterativeMerge", "iterativeMerge": {"stepsPerRound": 1000}},
}
ASK = """
import json, os, socket, ssl, tempfile
PREFACE = b"PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])

def context(version, pem):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    made.minimum_version = made.maximum_version = version
    made.set_alpn_protocols(["h2"])
    if pem:
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(pem)
            file.flush()
            made.load_cert_chain(file.name)
    return made

def answer(address, through):
    "The bytes that come back to one who begins a call, and how it ends."
    host, port = address.rsplit(":", 1)
    received = b""
    try:
        with socket.create_connection((host, int(port)), timeout=20) as line:
            if through is not None:
                line = through.wrap_socket(line, server_hostname="atoll")
            line.sendall(PREFACE)
            while part := line.recv(65536):
                received += part
                if len(received) >= 9 and received[3] == 4:
                    return received.hex(), "served"
        return received.hex(), "closed"
    except TimeoutError:
        return received.hex(), "silent"
    except OSError as error:
        return received.hex(), "closed: " + type(error).__name__ + " " + str(error)

versions = {"TLS 1.2": ssl.TLSVersion.TLSv1_2, "TLS 1.3": ssl.TLSVersion.TLSv1_3}
proofs = {"no certificate": "", "own authority": os.environ["OWN"], "one of its own": os.environ["GIVEN"]}
said = {}
for address in os.environ["SERVERS"].split():
    said[address + " plaintext"] = answer(address, None)
    for version, number in versions.items():
        for proof, pem in proofs.items():
            said[" ".join((address, version, proof))] = answer(address, context(number, pem))
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def guarded(lab: Kubectl) -> Iterator[Mapping[str, Any]]:
    """A job whose islands serve each other."""
    submit(lab, JOB, **MERGING)
    until(lab, JOB, lambda status: runs(0)(status) and runs(1)(status), 180)
    yield json.loads(lab.run("get", "trainingjob", JOB, "-o", "json"))
    lab.run("delete", "trainingjob", JOB)


@pytest.mark.smoke
def test_who_has_no_certificate_of_the_job_is_told_nothing(
    lab: Kubectl, guarded: Mapping[str, Any], worker_image: str
) -> None:
    """Neither in plain text, nor by TLS without a certificate, nor with one of another authority."""
    servers = (f"{JOB}-hub:{names.HUB_PORT}", f"{JOB}-islands:{names.ISLAND_PORT}")
    given = {
        "SERVERS": " ".join(servers),
        "OWN": forged(guarded["metadata"]["uid"]),
        "GIVEN": given_to_an_island(lab),
    }
    env = [{"name": name, "value": value} for name, value in given.items()]
    lab.apply(python_pod("stranger", worker_image, ASK, env=env))
    code, log = lab.ended("stranger", 120)
    assert code == 0, log
    for who, (received, end) in json.loads(log).items():
        if who.endswith("one of its own"):
            assert end == "served", (who, received, end)
        else:
            assert end.startswith("closed"), (who, received, end)
            assert received == "" or (who.endswith("plaintext") and is_alert(received)), who


def is_alert(received: str) -> bool:
    """Whether it is one alert of TLS, which says that this is no TLS."""
    return received.startswith("1503") and len(received) == 2 * 7


def forged(job_uid: str) -> str:
    """What a stranger can make by itself: the names of an island, signed by an authority of its own."""
    made = Authority(job_uid, datetime.now(UTC)).issue(Process(job_uid, names.ISLAND, 0))
    return (made.certificate + made.key).decode()


def given_to_an_island(lab: Kubectl) -> str:
    """What opens the doors: without it the test would pass where nobody serves."""
    secrets = json.loads(lab.run("get", "secrets", "-l", f"atoll.dev/job={JOB}", "-o", "json"))
    data = {key: value for it in secrets["items"] for key, value in it["data"].items()}
    step = names.island_step(0)
    return "".join(base64.b64decode(data[f"{step}.{it}"]).decode() for it in ("crt", "key"))
