"""What the cluster needs of the machine: a claim on it, a bridge, control groups, settings.

All of it is taken before the first process starts and given back after the last one.
"""

import errno
import json
import os
import shutil
import socket
import subprocess
from contextlib import suppress
from pathlib import Path

from tools.cluster import mounts
from tools.cluster.addresses import BRIDGE, CGROUP, GATEWAY, NETWORK, PODS, PORTS
from tools.cluster.errors import ClusterError
from tools.cluster.places import CLAIM, Places
from tools.cluster.processes import kill

CGROUPS = Path("/sys/fs/cgroup")
MOUNTS = Path("/proc/self/mountinfo")
CNI_RESULTS = Path("/var/lib/cni/results")
SHIM_SOCKETS = Path("/run/containerd/s")
DEVICE_SOCKETS = Path("/var/lib/kubelet/device-plugins")
POD_SOCKETS = Path("/var/lib/kubelet/pod-resources")
SOCKET_FOLDERS = (SHIM_SOCKETS, DEVICE_SOCKETS, POD_SOCKETS)
FIXED_FOLDERS = (
    CNI_RESULTS,
    Path("/var/lib/cni"),
    SHIM_SOCKETS,
    Path("/run/containerd"),
    DEVICE_SOCKETS,
    POD_SOCKETS,
    Path("/var/lib/kubelet"),
    Path("/var/log/containers"),
    Path("/usr/libexec/kubernetes/kubelet-plugins/volume/exec"),
    Path("/usr/libexec/kubernetes/kubelet-plugins/volume"),
    Path("/usr/libexec/kubernetes/kubelet-plugins"),
    Path("/usr/libexec/kubernetes"),
)
"""Inner ones first."""
SYSCTL = Path("/proc/sys")
CHANGED_SETTINGS = (
    "net/ipv4/ip_forward",
    "net/ipv4/conf/all/route_localnet",
    "net/netfilter/nf_conntrack_tcp_timeout_close_wait",
    "net/netfilter/nf_conntrack_tcp_timeout_established",
    "vm/overcommit_memory",
    "kernel/panic",
    "kernel/panic_on_oops",
)
"""What kubelet, kube-proxy and the bridge plugin set."""


def require_root() -> None:
    """Everything here does."""
    if os.geteuid() != 0:
        raise ClusterError("a cluster needs root: run it with sudo, or point KUBECONFIG at one")


def claimed_by() -> Path | None:
    """The state folder of the cluster that has this machine."""
    return Path(CLAIM.read_text().strip()) if CLAIM.exists() else None


def claim(places: Places) -> None:
    """Take the machine; it has one bridge and one set of ports."""
    holder = claimed_by()
    if holder not in (None, places.state):
        raise ClusterError(
            f"the cluster of {holder} has this machine: end it first "
            f"(python -m tools.cluster down --state {holder})"
        )
    CLAIM.write_text(f"{places.state}\n")


def unclaim() -> None:
    """Give it back."""
    CLAIM.unlink(missing_ok=True)


def require_ports(component: str) -> None:
    """Fail before a component does, which would say it in its log only."""
    for port in PORTS.get(component, ()):
        with socket.socket() as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                trial.bind(("0.0.0.0", port))  # noqa: S104 - what the component will bind
            except OSError as error:
                raise ClusterError(
                    f"port {port}, which {component} needs, is taken by another process "
                    f"(`ss -ltnp` shows which): end that one"
                ) from error


def make_bridge() -> None:
    """The node's own address for its pods; the first pod would make it, DNS needs it before."""
    if not (Path("/sys/class/net") / BRIDGE).exists():
        _ip("link", "add", BRIDGE, "type", "bridge")
    _ip("addr", "replace", f"{GATEWAY}/{PODS.prefixlen}", "dev", BRIDGE)
    _ip("link", "set", BRIDGE, "up")


def remove_bridge() -> None:
    """And the pods' ends of their cables."""
    ports = Path("/sys/class/net") / BRIDGE / "brif"
    for name in [port.name for port in ports.glob("*")] + [BRIDGE]:
        if (Path("/sys/class/net") / name).exists():
            _ip("link", "delete", name)


def _ip(*arguments: str) -> None:
    command = ["ip", *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise ClusterError(f"{' '.join(command)}: {result.stderr.strip()}")


def unmount(folder: Path) -> None:
    """Everything that is mounted in or below a folder."""
    for point in mounts.below(MOUNTS.read_text(), folder):
        command = ["umount", "--lazy", str(point)]
        subprocess.run(command, capture_output=True, check=False)
    left = mounts.below(MOUNTS.read_text(), folder)
    if left:
        raise ClusterError(f"still mounted, unmount them by hand: {', '.join(map(str, left))}")


def cgroup_folders() -> list[Path]:
    """The cluster's folder in every hierarchy of this machine."""
    if (CGROUPS / "cgroup.controllers").exists():
        return [CGROUPS / CGROUP]
    parents = [path for path in CGROUPS.iterdir() if path.is_dir() and not path.is_symlink()]
    return [path / CGROUP for path in parents if (path / "cgroup.procs").exists()]


def make_cgroups() -> None:
    """The kubelet wants its root there, with every controller."""
    for folder in cgroup_folders():
        folder.mkdir(exist_ok=True)
        for name in ("cpuset.cpus", "cpuset.mems"):  # version 1: empty until copied
            own = folder / name
            if own.exists() and not own.read_text().strip():
                own.write_text((folder.parent / name).read_text())
    if (CGROUPS / "cgroup.controllers").exists():
        _hand_down(CGROUPS)


def _hand_down(folder: Path) -> None:
    for controller in (folder / "cgroup.controllers").read_text().split():
        with suppress(OSError):  # some cannot be handed down
            (folder / "cgroup.subtree_control").write_text(f"+{controller}")


def kill_pods() -> None:
    """End every process of every pod."""
    for folder in cgroup_folders():
        for members in folder.rglob("cgroup.procs"):
            with suppress(OSError):
                for pid in members.read_text().split():
                    kill(int(pid))


def cgroups_left() -> bool:
    """Remove what is empty; whether something is left."""
    for top in cgroup_folders():
        inner = [path for path in top.rglob("*") if path.is_dir()] if top.exists() else []
        for folder in [*sorted(inner, key=lambda path: -len(path.parts)), top]:
            with suppress(OSError):
                folder.rmdir()
    return any(folder.exists() for folder in cgroup_folders())


def remember_settings(places: Places) -> None:
    """Note the kernel's settings before the first change."""
    if not places.sysctl.exists():
        present = [name for name in CHANGED_SETTINGS if (SYSCTL / name).exists()]
        noted = {name: (SYSCTL / name).read_text().strip() for name in present}
        places.sysctl.write_text(json.dumps(noted))


def restore_settings(places: Places) -> None:
    """Put them back."""
    noted = json.loads(places.sysctl.read_text()) if places.sysctl.exists() else {}
    for name, value in noted.items():
        with suppress(OSError):
            (SYSCTL / name).write_text(value)


def sweep() -> None:
    """Remove what components write to places that cannot be chosen, where it is theirs alone."""
    for result in CNI_RESULTS.glob(f"{NETWORK}-*-eth0"):
        sandbox = result.name.removeprefix(f"{NETWORK}-").removesuffix("-eth0")
        remove(CNI_RESULTS / f"cni-loopback-{sandbox}-lo")  # in which no network is named
        remove(result)
    for path in [path for folder in SOCKET_FOLDERS for path in folder.glob("*")]:
        with socket.socket(socket.AF_UNIX) as client:
            if client.connect_ex(str(path)) == errno.ECONNREFUSED:
                path.unlink()
    for folder in FIXED_FOLDERS:
        with suppress(OSError):  # of somebody else too, if it is not empty
            folder.rmdir()


def remove(path: Path) -> None:
    """A file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
