"""What each component says and does."""

import subprocess
from pathlib import Path

from tools.cluster import machine, processes, programs, ready
from tools.cluster.components import NAMES
from tools.cluster.places import Places

TAIL_BYTES = 65536


def tail(path: Path, lines: int) -> str:
    """The last lines of a log."""
    if not path.exists():
        return "(no log)"
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - TAIL_BYTES))
        text = file.read().decode(errors="replace")
    return "\n".join(text.splitlines()[-lines:]) or "(empty log)"


def log(places: Places, component: str) -> Path:
    """Where the output of a component goes."""
    return places.logs / f"{component}.log"


def complaints(places: Places) -> list[str]:
    """What is not as it should be, a line each."""
    holder = machine.claimed_by()
    if holder != places.state:
        return ["no cluster is up" + (f" here; one of {holder} is" if holder else "")]
    alive = {process.mark.component for process in processes.find(places.state)}
    found = [f"{name} does not run" for name in NAMES if name not in alive]
    if found:
        return found
    probes = [(f"{name} answers", probe) for name, probe in ready.COMPONENT_PROBES.items()]
    probes += [(what, probe) for what, (_, probe) in ready.CLUSTER_PROBES.items()]
    return [f"not so: {what}" for what, probe in probes if not probe(places)]


def status(places: Places) -> bool:
    """Say how the cluster does; whether it does well."""
    for process in sorted(processes.find(places.state), key=lambda one: one.mark.component):
        print(f"{process.pid:>8}  {process.mark.component:<24} {Path(process.executable).name}")
    print(f"kubectl, helm: {programs.built_folder(places.cache)}")
    found = complaints(places)
    print("\n".join(found) or f"ready: export KUBECONFIG={places.kubeconfig}")
    return not found


def logs(places: Places, component: str | None, lines: int) -> None:
    """The last lines of one component or of all, and what is not ready."""
    for name in [component] if component else NAMES:
        print(f"==> {name}: {log(places, name)}\n{tail(log(places, name), lines)}\n", flush=True)
    print("\n".join(complaints(places)) or "everything is ready", flush=True)
    if machine.claimed_by() == places.state:
        _pods_not_running(places)


def _pods_not_running(places: Places) -> None:
    chosen = "--field-selector=status.phase!=Running,status.phase!=Succeeded"
    program = str(programs.built_folder(places.cache) / "kubectl")
    command = [program, f"--kubeconfig={places.kubeconfig}", "--request-timeout=5s"]
    subprocess.run([*command, "get", "pods", "--all-namespaces", chosen], check=False)
