"""Where everything is kept; nothing here touches the disk."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tools.cluster.errors import ClusterError

STATE_VARIABLE = "ATOLL_CLUSTER_STATE"
CACHE_VARIABLE = "ATOLL_CLUSTER_CACHE"

LOCK = Path("/run/atoll-test-cluster.lock")
"""One for the machine: the bridge, the ports and the packet filter are."""
CLAIM = Path("/run/atoll-test-cluster.state")
"""Names the state folder whose cluster has the machine."""

LONGEST_SOCKET = 107
"""What fits into a sockaddr_un."""


@dataclass(frozen=True)
class Places:
    """The state of one cluster, and the cache that outlives it."""

    state: Path
    cache: Path

    @property
    def kubeconfig(self) -> Path:
        """The administrator's."""
        return self.state / "kubeconfig"

    @property
    def certificates(self) -> Path:
        """Keys too: the state folder is its owner's alone."""
        return self.state / "certificates"

    @property
    def configuration(self) -> Path:
        """Every file that a component reads."""
        return self.state / "configuration"

    @property
    def logs(self) -> Path:
        """One file a component, and the audit log."""
        return self.state / "logs"

    @property
    def audit_log(self) -> Path:
        """Every request to the API server, one JSON object a line."""
        return self.logs / "audit.jsonl"

    @property
    def etcd(self) -> Path:
        """The cluster's memory; without it the next cluster is a new one."""
        return self.state / "etcd"

    @property
    def kubelet(self) -> Path:
        """The kubelet's root, with the pods' volumes."""
        return self.state / "kubelet"

    @property
    def volumes(self) -> Path:
        """What persistent volumes are made of."""
        return self.state / "volumes"

    @property
    def network(self) -> Path:
        """Addresses given to pods."""
        return self.state / "network"

    @property
    def run(self) -> Path:
        """Sockets, and what containerd mounts."""
        return self.state / "run"

    @property
    def containerd_socket(self) -> Path:
        """Where kubelet and ctr reach containerd."""
        return self.run / "containerd.sock"

    @property
    def images(self) -> Path:
        """The root of containerd: outlives `down`, since importing images takes a minute."""
        return self.state / "images"

    @property
    def builds(self) -> Path:
        """The builder's storage: layers from which an image is built in seconds."""
        return self.cache / "images"

    @property
    def sysctl(self) -> Path:
        """Kernel settings as they were before."""
        return self.state / "sysctl.json"

    @property
    def passing(self) -> tuple[Path, ...]:
        """What goes with the cluster; images and logs stay until `down --purge`."""
        kept = (self.etcd, self.kubelet, self.volumes, self.network, self.run)
        return (*kept, self.certificates, self.configuration, self.kubeconfig, self.sysctl)


def find(
    environment: Mapping[str, str], state: Path | None = None, cache: Path | None = None
) -> Places:
    """An option wins over the environment, the environment over the XDG folders."""
    places = Places(
        state=(state or _named(environment, STATE_VARIABLE, "XDG_STATE_HOME", ".local/state")),
        cache=(cache or _named(environment, CACHE_VARIABLE, "XDG_CACHE_HOME", ".cache")),
    )
    for path in (places.state, places.cache):
        if not path.is_absolute():
            raise ClusterError(f"{path} must be an absolute path")
    if len(str(places.containerd_socket)) > LONGEST_SOCKET - len(".ttrpc"):
        raise ClusterError(f"{places.state} is too long for a socket in it: choose a shorter path")
    return places


def _named(environment: Mapping[str, str], own: str, xdg: str, default: str) -> Path:
    if environment.get(own):
        return Path(environment[own])
    base = environment.get(xdg) or str(Path(environment.get("HOME", "/root")) / default)
    return Path(base) / "atoll" / "test-cluster"
