"""Brings the cluster to what it should be: starts what does not run, restarts what is outdated.

Safe to be ended at any moment and to be run again.
"""

import time
from dataclasses import dataclass, field
from pathlib import Path

from tools.cluster import certificates, containers, documents, machine, processes, programs, ready
from tools.cluster.api import Api
from tools.cluster.components import Component, Programs, Wishes, components
from tools.cluster.errors import ClusterError
from tools.cluster.objects import objects
from tools.cluster.places import Places
from tools.cluster.report import log, tail

PATIENCE_SECONDS = 90.0
POLL_SECONDS = 0.1
TAIL_LINES = 15
RESTART_GRACE_SECONDS = 10.0


@dataclass(frozen=True)
class Cluster:
    """What is to run, and where."""

    places: Places
    programs: Programs
    components: tuple[Component, ...]
    started: list[str] = field(default_factory=list)
    """What has to run by now."""

    def component(self, name: str) -> Component:
        """The one of that name."""
        return next(one for one in self.components if one.name == name)


def up(places: Places, wishes: Wishes) -> None:
    """Have a cluster that answers."""
    machine.require_root()
    began = time.monotonic()
    cluster = _prepare(places, wishes)
    fresh = not places.etcd.exists()
    for component in cluster.components:
        _ensure(cluster, component)
        if component.name in ready.COMPONENT_PROBES:
            _await(cluster, f"{component.name} answers", component.name)
        if component.name == "containerd":
            _tidy_containerd(cluster, component, fresh=fresh)
        if component.name == "kube-apiserver":
            _apply_objects(cluster)
    for what, (component_name, _) in ready.CLUSTER_PROBES.items():
        _await(cluster, what, component_name)
    print(f"ready after {time.monotonic() - began:.1f} s: export KUBECONFIG={places.kubeconfig}")


def _prepare(places: Places, wishes: Wishes) -> Cluster:
    machine.claim(places)
    found = programs.provide(places.cache)
    plugins = programs.cni_folder()
    if plugins is None:
        raise ClusterError(f"{programs.CNI_PACKAGE} brought no network plugins")
    if not places.etcd.exists():  # the logs are an earlier cluster's
        machine.remove(places.logs)
    for folder in (places.state, places.logs, places.run, places.volumes, places.configuration):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    certificates.make(places.certificates, certificates.current_time())
    for name, text in documents.documents(places, plugins).items():
        _write(places.configuration / name, text)
    _write(places.kubeconfig, documents.kubeconfig(places, "admin"))
    machine.remember_settings(places)
    machine.make_cgroups()
    machine.make_bridge()
    return Cluster(places, found, components(places, found, wishes))


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(text)


def _ensure(cluster: Cluster, component: Component) -> None:
    places = cluster.places
    cluster.started.append(component.name)
    present = processes.running(places.state, component)
    if present and present.mark.digest == processes.digest(component):
        return
    if present:
        print(f"restarting {component.name}: it is to run in another way", flush=True)
        processes.end([present], RESTART_GRACE_SECONDS)
    machine.require_ports(component.name)
    processes.start(places.state, component, log(places, component.name))


def _tidy_containerd(cluster: Cluster, component: Component, *, fresh: bool) -> None:
    places = cluster.places
    if fresh and containers.forget_containers(places):
        # Its Kubernetes part has read them at its start.
        _restart(cluster, component)
    containers.ensure_pause(places, Path(cluster.programs.path("pause")))


def _restart(cluster: Cluster, component: Component) -> None:
    present = processes.running(cluster.places.state, component)
    processes.end([present] if present else [], RESTART_GRACE_SECONDS)
    _ensure(cluster, component)
    _await(cluster, f"{component.name} answers", component.name)


def _apply_objects(cluster: Cluster) -> None:
    api = Api(cluster.places.certificates)
    for path, document in objects().items():
        api.apply(path, document)


def _await(cluster: Cluster, what: str, component_name: str) -> None:
    probe = ready.COMPONENT_PROBES.get(component_name) or ready.CLUSTER_PROBES[what][1]
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not probe(cluster.places):
        _require_alive(cluster)
        if time.monotonic() > deadline:
            raise _complaint(
                cluster, component_name, f"not so after {PATIENCE_SECONDS:.0f} s: {what}"
            )
        time.sleep(POLL_SECONDS)


def _require_alive(cluster: Cluster) -> None:
    """What has been started must run on."""
    for name in cluster.started:
        if processes.running(cluster.places.state, cluster.component(name)) is None:
            raise _complaint(cluster, name, f"{name} has ended")


def _complaint(cluster: Cluster, component_name: str, what: str) -> ClusterError:
    path = log(cluster.places, component_name)
    return ClusterError(f"{what}\n==> {path}\n{tail(path, TAIL_LINES)}")
