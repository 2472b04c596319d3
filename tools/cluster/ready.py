"""Whether a component, and the whole cluster, does its work: asked of it, not guessed."""

import socket
import struct
from collections.abc import Callable
from typing import Any

from tools.cluster.addresses import DOMAIN, GATEWAY, NODE, PORTS
from tools.cluster.api import Api, etcd
from tools.cluster.places import Places

UNENDED = "status.phase!=Succeeded,status.phase!=Failed"
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
    """The kubelet says so, and knows its pods: the first may be from before its restart."""
    api = Api(places.certificates)
    if condition(api.get(f"/api/v1/nodes/{NODE}").document) != "True":
        return False
    known = api.get(f"/api/v1/nodes/{NODE}/proxy/pods")
    given = api.get(f"/api/v1/pods?fieldSelector=spec.nodeName={NODE},{UNENDED}")
    return known.ok and given.ok and uids(given.document) <= uids(known.document)


def accounts_are_made(places: Places) -> bool:
    """Without it no pod of the default namespace is admitted."""
    return Api(places.certificates).get("/api/v1/namespaces/default/serviceaccounts/default").ok


def listens(port: int) -> Probe:
    """Whether somebody accepts connections there."""

    def probe(_: Places) -> bool:
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", port)) == 0

    return probe


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
    "kube-controller-manager listens": (
        "kube-controller-manager",
        listens(PORTS["kube-controller-manager"][0]),
    ),
    "kube-scheduler listens": ("kube-scheduler", listens(PORTS["kube-scheduler"][0])),
    "kube-proxy listens": ("kube-proxy", listens(PORTS["kube-proxy"][0])),
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


def uids(pods: dict[str, Any]) -> set[str]:
    """Which pods a list has."""
    return {pod["metadata"]["uid"] for pod in pods.get("items") or []}


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
