"""Whether a component, and the whole cluster, does its work: asked of it, not guessed."""

import socket
import struct
from collections.abc import Callable
from typing import Any

from tools.cluster.addresses import DOMAIN, GATEWAY, NODE
from tools.cluster.api import Api, etcd
from tools.cluster.places import Places

DNS_ID = 0xA701
Probe = Callable[[Places], bool]


def etcd_serves(places: Places) -> bool:
    """It has a leader: itself."""
    return etcd(places.certificates).get("/health").document.get("health") == "true"


def containerd_serves(places: Places) -> bool:
    """Its socket is there and somebody listens."""
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(places.containerd_socket)) == 0


def api_serves(places: Places) -> bool:
    """All its hooks have run."""
    return Api(places.certificates).get("/readyz").ok


def node_is_ready(places: Places) -> bool:
    """The kubelet says so."""
    return condition(Api(places.certificates).get(f"/api/v1/nodes/{NODE}").document) == "True"


def accounts_are_made(places: Places) -> bool:
    """Without it no pod of the default namespace is admitted."""
    return Api(places.certificates).get("/api/v1/namespaces/default/serviceaccounts/default").ok


def names_are_answered(_: Places) -> bool:
    """DNS knows the first Service that every cluster has."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(0.5)
        try:
            client.sendto(dns_question(f"kubernetes.default.svc.{DOMAIN}"), (str(GATEWAY), 53))
            return dns_has_answer(client.recv(512))
        except OSError:
            return False


COMPONENT_PROBES: dict[str, Probe] = {
    "etcd": etcd_serves,
    "containerd": containerd_serves,
    "kube-apiserver": api_serves,
}
"""Asked before what needs them is started."""

CLUSTER_PROBES: dict[str, tuple[str, Probe]] = {
    "the default service account is there": ("kube-controller-manager", accounts_are_made),
    f"node {NODE} is Ready": ("kubelet", node_is_ready),
    "DNS answers": ("coredns", names_are_answered),
}
"""What makes a cluster usable, and whose log tells why it is not."""


def condition(node: dict[str, Any]) -> str:
    """The Ready condition of a node: True, False or Unknown."""
    conditions = node.get("status", {}).get("conditions", [])
    found = [one["status"] for one in conditions if one["type"] == "Ready"]
    return found[0] if found else "Unknown"


def dns_question(name: str) -> bytes:
    """A question for the address of a name (RFC 1035, 4.1)."""
    header = struct.pack(">6H", DNS_ID, 0x0100, 1, 0, 0, 0)
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return header + labels + b"\0" + struct.pack(">2H", 1, 1)


def dns_has_answer(reply: bytes) -> bool:
    """No error, and at least one record."""
    if len(reply) < 12:
        return False
    number, flags, _, answers = struct.unpack(">4H", reply[:8])
    return bool(number == DNS_ID and flags & 0xF == 0 and answers)
