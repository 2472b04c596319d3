"""An API server of a benchmark's own, with an audit log: etcd and kube-apiserver, and nothing else.

The one of the tests (`tests/support/kube_api_server.py`), which is found nowhere else.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

sys.path.append(str(Path(__file__).resolve().parents[2] / "tests/support"))

from kube_api_server import KubeApiServer, find_binaries

POLICY: Final = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata", "omitManagedFields": True}],
}


@dataclass(frozen=True)
class Found:
    """Where it is."""

    kubeconfig: Path
    port: int
    audit_log: Path
    data: Path
    """Of etcd."""
    pids: dict[str, int]


@contextmanager
def api_server(folder: Path) -> Iterator[Found]:
    """One that runs, and leaves its audit log in that folder.

    Raises:
        SystemExit: its programs are not on this machine.
    """
    binaries = find_binaries()
    if binaries is None:
        raise SystemExit("etcd and kube-apiserver are not there: `make cluster-up` builds them")
    policy, log = folder / "audit-policy.json", folder / "audit.jsonl"
    policy.write_text(json.dumps(POLICY))
    log.touch()
    flags = (
        f"--audit-policy-file={policy}",
        f"--audit-log-path={log}",
        "--audit-log-maxsize=4096",
        "--feature-gates=WatchList=false",
    )
    server = KubeApiServer(binaries, *flags)
    try:
        data = server.kubeconfig.parent / "etcd"
        yield Found(server.kubeconfig, server.port, log, data, server.pids)
    finally:
        server.kill()
