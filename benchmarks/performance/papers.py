"""The certificates of a benchmark's job, and how they travel to its processes: as JSON, unwritten."""

from datetime import UTC, datetime
from typing import Any, Final

from atoll_api.names import Process
from atoll_operator.identity import Authority
from atoll_worker.exchange.identity import Credentials

JOB: Final = "benchmark"

Paper = dict[str, Any]


def new_authority() -> Authority:
    """The one whose certificates all processes of a benchmark have."""
    return Authority(JOB, datetime.now(UTC))


def paper(authority: Authority, role: str, index: int = 0) -> Paper:
    """What a process of the job proves itself with."""
    it = authority.issue(Process(JOB, role, index))
    pem = {"certificate": it.certificate, "key": it.key, "authority": it.authority}
    return {"role": role, "index": index} | {key: text.decode() for key, text in pem.items()}


def process(paper: Paper) -> Process:
    """Whose it is."""
    return Process(JOB, paper["role"], paper["index"])


def credentials(paper: Paper) -> Credentials:
    """The paper in the hands of its process."""
    pem = [paper[key].encode() for key in ("certificate", "key", "authority")]
    return Credentials(process(paper), *pem)
