"""Ends the cluster and takes back everything that it did to the machine.

In an order in which nobody starts again what has just ended: the kubelet and the controllers,
the pods, containerd and its children, then mounts, network and control groups.
"""

import subprocess
import time

from tools.cluster import machine, packet_filter, processes
from tools.cluster.errors import ClusterError
from tools.cluster.places import Places

GRACE_SECONDS = 5.0
CGROUP_PATIENCE_SECONDS = 10.0
FILTERS = ("iptables", "ip6tables")


def down(places: Places, *, purge: bool) -> None:
    """Leave nothing but logs and images; with `purge`, not even these."""
    machine.require_root()
    if machine.claimed_by() == places.state:
        _end_processes(places)
        machine.unmount(places.state)
        machine.unmount(places.builds)
        _clean_packet_filter()
        machine.remove_bridge()
        _remove_cgroups()
        machine.restore_settings(places)
        machine.sweep()
    elif processes.find(places.state):
        raise ClusterError(f"processes of {places.state} run, but the machine is not claimed by it")
    for path in (places.state,) if purge else places.passing:
        machine.remove(path)
    if machine.claimed_by() == places.state:
        machine.unclaim()


def _end_processes(places: Places) -> None:
    everything = processes.find(places.state)
    last = ("containerd", "etcd")
    processes.end([one for one in everything if one.mark.component not in last], GRACE_SECONDS)
    machine.kill_pods()
    processes.end(processes.find(places.state), GRACE_SECONDS)
    machine.kill_pods()  # what a shim started at the last moment


def _clean_packet_filter() -> None:
    for name in FILTERS:
        saved = subprocess.run([f"{name}-save"], capture_output=True, text=True, check=False)
        undo = packet_filter.removal(saved.stdout)
        if undo:
            command = [f"{name}-restore", "--noflush"]
            result = subprocess.run(
                command, input=undo, capture_output=True, text=True, check=False
            )
            if result.returncode:
                raise ClusterError(f"{name} rules are left: {result.stderr.strip()}")


def _remove_cgroups() -> None:
    deadline = time.monotonic() + CGROUP_PATIENCE_SECONDS
    while machine.cgroups_left():
        if time.monotonic() > deadline:
            raise ClusterError("control groups are left: a pod's process does not end")
        machine.kill_pods()
        time.sleep(0.1)
