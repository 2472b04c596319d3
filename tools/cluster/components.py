"""What runs, in the order of starting, and how each is asked whether it is ready; pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tools.cluster.addresses import (
    API_PORT,
    DOMAIN,
    ETCD_PEER_PORT,
    ETCD_PORT,
    GATEWAY,
    NODE,
    PODS,
    PROVISIONER,
    SERVICES,
)
from tools.cluster.certificates import AUTHORITY, SERVICE_ACCOUNTS
from tools.cluster.places import Places


@dataclass(frozen=True)
class Programs:
    """Where executables are: built ones in one folder, the system's by name."""

    built: Path
    system: Mapping[str, Path]

    def path(self, name: str) -> str:
        """The executable of that name."""
        return str(self.system.get(name, self.built / name))


@dataclass(frozen=True)
class Component:
    """One process."""

    name: str
    argv: tuple[str, ...]
    reads: tuple[Path, ...] = ()
    """Files whose change needs a restart."""


@dataclass(frozen=True)
class Wishes:
    """What a user may ask for."""

    audit: bool = True
    flags: Mapping[str, tuple[str, ...]] | None = None
    """Component -> more flags; of two equal flags the last one counts."""


def components(places: Places, programs: Programs, wishes: Wishes) -> tuple[Component, ...]:
    """All of them; each needs none but those before it in order to start."""
    plain = (
        _etcd(places, programs),
        _containerd(places, programs),
        _api_server(places, programs, audit=wishes.audit),
        _controller_manager(places, programs),
        _scheduler(places, programs),
        _kubelet(places, programs),
        _proxy(places, programs),
        _dns(places, programs),
        _storage(places, programs),
    )
    more = wishes.flags or {}
    return tuple(
        Component(one.name, (*one.argv, *more.get(one.name, ())), one.reads) for one in plain
    )


NAMES = (
    "etcd",
    "containerd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "coredns",
    "storage",
)


def _etcd(places: Places, programs: Programs) -> Component:
    client = f"https://127.0.0.1:{ETCD_PORT}"
    peer = f"http://127.0.0.1:{ETCD_PEER_PORT}"
    own = places.certificates / "etcd"
    argv = (
        programs.path("etcd"),
        f"--data-dir={places.etcd}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--client-cert-auth",
        f"--trusted-ca-file={_authority(places)}",
        f"--cert-file={own}.crt",
        f"--key-file={own}.key",
        "--unsafe-no-fsync",  # a cluster for tests may forget when the machine dies
        "--quota-backend-bytes=4294967296",
        "--logger=zap",
    )
    return Component("etcd", argv)


def _containerd(places: Places, programs: Programs) -> Component:
    configuration = places.configuration / "containerd.toml"
    argv = (programs.path("containerd"), f"--config={configuration}")
    return Component("containerd", argv, (configuration,))


def _api_server(places: Places, programs: Programs, *, audit: bool) -> Component:
    folder = places.certificates
    own, etcd = folder / "kube-apiserver", folder / "etcd"
    policy = places.configuration / "audit.yaml"
    watching = (
        f"--audit-policy-file={policy}",
        f"--audit-log-path={places.audit_log}",
        "--audit-log-maxsize=2048",
        "--audit-log-maxbackup=1",
    )
    argv = (
        programs.path("kube-apiserver"),
        f"--advertise-address={GATEWAY}",
        f"--secure-port={API_PORT}",
        f"--service-cluster-ip-range={SERVICES}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        f"--etcd-servers=https://127.0.0.1:{ETCD_PORT}",
        f"--etcd-cafile={_authority(places)}",
        f"--etcd-certfile={etcd}.crt",
        f"--etcd-keyfile={etcd}.key",
        f"--client-ca-file={_authority(places)}",
        f"--tls-cert-file={own}.crt",
        f"--tls-private-key-file={own}.key",
        f"--kubelet-certificate-authority={_authority(places)}",
        f"--kubelet-client-certificate={own}.crt",
        f"--kubelet-client-key={own}.key",
        "--kubelet-preferred-address-types=InternalIP",
        f"--service-account-issuer=https://kubernetes.default.svc.{DOMAIN}",
        f"--service-account-key-file={folder / SERVICE_ACCOUNTS}.pub",
        f"--service-account-signing-key-file={folder / SERVICE_ACCOUNTS}.key",
        *(watching if audit else ()),
    )
    return Component("kube-apiserver", argv, (policy,))


def _controller_manager(places: Places, programs: Programs) -> Component:
    argv = (
        programs.path("kube-controller-manager"),
        f"--kubeconfig={_kubeconfig(places, 'kube-controller-manager')}",
        "--bind-address=127.0.0.1",
        "--leader-elect=false",
        "--use-service-account-credentials=true",
        f"--root-ca-file={_authority(places)}",
        f"--cluster-signing-cert-file={_authority(places)}",
        f"--cluster-signing-key-file={places.certificates / AUTHORITY}.key",
        f"--service-account-private-key-file={places.certificates / SERVICE_ACCOUNTS}.key",
    )
    return Component("kube-controller-manager", argv)


def _scheduler(places: Places, programs: Programs) -> Component:
    argv = (
        programs.path("kube-scheduler"),
        f"--kubeconfig={_kubeconfig(places, 'kube-scheduler')}",
        "--bind-address=127.0.0.1",
        "--leader-elect=false",
    )
    return Component("kube-scheduler", argv)


def _kubelet(places: Places, programs: Programs) -> Component:
    configuration = places.configuration / "kubelet.yaml"
    argv = (
        programs.path("kubelet"),
        f"--kubeconfig={_kubeconfig(places, 'kubelet')}",
        f"--config={configuration}",
        f"--root-dir={places.kubelet}",
        f"--hostname-override={NODE}",
        f"--node-ip={GATEWAY}",
    )
    return Component("kubelet", argv, (configuration,))


def _proxy(places: Places, programs: Programs) -> Component:
    argv = (
        programs.path("kube-proxy"),
        f"--kubeconfig={_kubeconfig(places, 'kube-proxy')}",
        "--proxy-mode=iptables",
        f"--cluster-cidr={PODS}",
        f"--hostname-override={NODE}",
        "--conntrack-max-per-core=0",  # the machine may not allow to change it
        "--healthz-bind-address=127.0.0.1:10256",
        "--metrics-bind-address=127.0.0.1:10249",
    )
    return Component("kube-proxy", argv)


def _dns(places: Places, programs: Programs) -> Component:
    corefile = places.configuration / "Corefile"
    return Component("coredns", (programs.path("coredns"), f"-conf={corefile}"), (corefile,))


def _storage(places: Places, programs: Programs) -> Component:
    argv = (
        programs.path("storage"),
        f"-kubeconfig={_kubeconfig(places, 'storage')}",
        f"-root={places.volumes}",
        f"-name={PROVISIONER}",
    )
    return Component("storage", argv)


def _kubeconfig(places: Places, name: str) -> Path:
    return places.configuration / f"{name}.kubeconfig"


def _authority(places: Places) -> Path:
    return places.certificates / f"{AUTHORITY}.crt"
