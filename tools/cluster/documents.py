"""The files that components read, as text; pure."""

import json
from collections.abc import Mapping
from pathlib import Path

from tools.cluster.addresses import (
    API_PORT,
    BRIDGE,
    CGROUP,
    DOMAIN,
    GATEWAY,
    MAX_PODS,
    NETWORK,
    PAUSE_IMAGE,
    PODS,
)
from tools.cluster.certificates import AUTHORITY
from tools.cluster.places import Places

CNI_FILE = "cni/10-bridge.conflist"
KUBECONFIGS = ("kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy")
LOCAL_CLIENTS = ("coredns", "storage")


def documents(places: Places, cni_plugins: Path) -> dict[str, str]:
    """File name below the configuration folder -> text."""
    files = {
        f"{name}.kubeconfig": kubeconfig(places, name) for name in (*KUBECONFIGS, *LOCAL_CLIENTS)
    }
    return files | {
        "audit.yaml": audit_policy(),
        "kubelet.yaml": kubelet(places),
        "containerd.toml": containerd(places, cni_plugins),
        "Corefile": corefile(places),
        CNI_FILE: pod_network(places),
    }


def kubeconfig(places: Places, name: str) -> str:
    """How a component, or the administrator, reaches the API server."""
    folder = places.certificates
    cluster = {
        "server": f"https://127.0.0.1:{API_PORT}",
        "certificate-authority": str(folder / f"{AUTHORITY}.crt"),
    }
    user = {
        "client-certificate": str(folder / f"{name}.crt"),
        "client-key": str(folder / f"{name}.key"),
    }
    context = {"cluster": "atoll-test", "user": name}
    return _json(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "atoll-test", "cluster": cluster}],
            "users": [{"name": name, "user": user}],
            "contexts": [{"name": "atoll-test", "context": context}],
            "current-context": "atoll-test",
        }
    )


def audit_policy() -> str:
    """Who asked what, and when; nothing of what was said."""
    return _json(
        {
            "apiVersion": "audit.k8s.io/v1",
            "kind": "Policy",
            "omitStages": ["RequestReceived"],
            "rules": [{"level": "Metadata"}],
        }
    )


def kubelet(places: Places) -> str:
    """A kubelet that is content with a small machine of either cgroup version."""
    certificates = places.certificates
    return _json(
        {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": "0.0.0.0",  # noqa: S104 - the API server calls it by the bridge
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(certificates / f"{AUTHORITY}.crt")},
            },
            "authorization": {"mode": "Webhook"},
            "tlsCertFile": str(certificates / "kubelet.crt"),
            "tlsPrivateKeyFile": str(certificates / "kubelet.key"),
            "containerRuntimeEndpoint": f"unix://{places.containerd_socket}",
            "volumePluginDir": str(places.kubelet / "volume-plugins"),
            "podLogsDir": str(places.kubelet / "pod-logs"),
            "clusterDNS": [str(GATEWAY)],
            "clusterDomain": DOMAIN,
            "maxPods": MAX_PODS,
            # Where the machine stands: cgroup v1 or v2, no systemd needed, swap or none.
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{CGROUP}",
            "failCgroupV1": False,
            "failSwapOn": False,
            "enforceNodeAllocatable": ["pods"],
            # A developer's disk is never as empty as a server's; an image that was loaded by hand
            # could not be pulled again.
            "evictionHard": {"memory.available": "200Mi", "nodefs.available": "1%"},
            "imageGCHighThresholdPercent": 100,
            "imageMaximumGCAge": "0s",
            "serializeImagePulls": False,
            "registryPullQPS": 0,
            "eventRecordQPS": 0,
            "kubeAPIQPS": 100,
            "kubeAPIBurst": 200,
            "nodeStatusUpdateFrequency": "5s",
            "logging": {"flushFrequency": "1s"},
        }
    )


def containerd(places: Places, cni_plugins: Path) -> str:
    """All of containerd's things are its own: another one may run here."""
    plugin = 'plugins."io.containerd.grpc.v1.cri"'
    return f"""version = 2
root = "{places.images}"
state = "{places.run}/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.btrfs"]

[grpc]
address = "{places.containerd_socket}"

[{plugin}]
sandbox_image = "{PAUSE_IMAGE}"
# Without CAP_SYS_RESOURCE runc fails: "can't get final child's PID from pipe: EOF".
restrict_oom_score_adj = true
netns_mounts_under_state_dir = true
tolerate_missing_hugetlb_controller = true

[{plugin}.cni]
bin_dir = "{cni_plugins}"
conf_dir = "{places.configuration}/cni"

[{plugin}.containerd]
snapshotter = "overlayfs"
default_runtime_name = "runc"

[{plugin}.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[{plugin}.containerd.runtimes.runc.options]
Root = "{places.run}/runc"
SystemdCgroup = false
"""


def pod_network(places: Places) -> str:
    """A bridge, addresses from one file, and ports of the host on request."""
    addresses = {
        "type": "host-local",
        "ranges": [[{"subnet": str(PODS), "gateway": str(GATEWAY)}]],
        "routes": [{"dst": "0.0.0.0/0"}],
        "dataDir": str(places.network),
    }
    bridge = {
        "type": "bridge",
        "bridge": BRIDGE,
        "isGateway": True,
        "ipMasq": True,
        "hairpinMode": True,
        "ipam": addresses,
    }
    ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    return _json({"cniVersion": "0.4.0", "name": NETWORK, "plugins": [bridge, ports]})


def corefile(places: Places) -> str:
    """The cluster's names and no others: a test must not depend on what is outside."""
    client = places.configuration / "coredns.kubeconfig"
    return f""".:53 {{
    bind {GATEWAY}
    errors
    kubernetes {DOMAIN} in-addr.arpa ip6.arpa {{
        kubeconfig {client}
        pods insecure
        ttl 5
    }}
    cache 5 {{
        disable denial
    }}
}}
"""


def _json(document: Mapping[str, object]) -> str:
    # JSON is YAML; json.dumps cannot misquote.
    return json.dumps(document, indent=2) + "\n"
