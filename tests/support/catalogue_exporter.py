"""A made-up cluster that says every metric of the catalogues: an operator, a hub, islands and more.

For tests of dashboards alone: the numbers are made up, names and labels are not, for the instruments
are those of Atoll. Each process answers below a path of its own.
"""

import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import product
from typing import Any

from atoll_operator import metrics as operators
from atoll_telemetry.families import Family, Kind, Label
from atoll_telemetry.instruments import Instruments
from atoll_worker import metrics as workers

ISLANDS = 4
NAMESPACE, JOB = "lab", "digits"
_NAMES = {
    "step": (*(f"island-{it}" for it in range(ISLANDS)), "router", "merge"),
    "version": ("0.1.0",),
    "role": ("",),
    "namespace": (NAMESPACE,),
    "trainingjob": (JOB,),
    "uid": ("0123",),
    "reason": ("Finished",),
}
"""Values of labels that the catalogue does not list."""
_CODES = {"HTTP": ("200", "404", "503"), "gRPC": ("OK", "UNAVAILABLE")}
_OFF = frozenset(
    (
        *("Pending", "Suspended", "Merging", "Evaluating", "Complete", "Failed", "Waiting"),
        *("Succeeded", "Degraded", "false", "unknown"),
    )
)
"""What the job is not."""
GIB = 2.0**30

Value = Callable[[float, int], float]
"""Of the seconds since the begin, and which island."""

_VALUES: Mapping[str, Value] = {
    "train_target_steps": lambda _, __: 400,
    "train_loss": lambda t, i: 0.4 + 2 * math.exp(-t / (6 + i)) + 0.05 * math.sin(3 * t + i),
    "train_gradient_norm": lambda t, i: 1 + 0.3 * math.sin(t + i),
    "train_learning_rate": lambda t, _: 1e-3 * math.exp(-t / 20),
    "train_isolated": lambda _, __: 1,
    "train_start_timestamp_seconds": lambda t, _: time.time() - t,
    "checkpoint_size_bytes": lambda _, i: (40 + i) * 2**20,
    "checkpoint_last_success_timestamp_seconds": lambda t, i: time.time() - (t + i) % 5,
    "checkpoint_interval_seconds": lambda _, __: 5,
    "merge_round": lambda t, i: t // (2 + i % 2),
    "mergeability_gap": lambda t, _: 0.5 * math.exp(-t / 10),
    "consensus_distance": lambda t, _: 0.2 + 0.1 * math.sin(t),
    "router_accuracy_ratio": lambda _, __: 0.93,
    "gpu_memory_bytes": lambda _, i: (8 + i) * GIB,
    "gpu_memory_peak_bytes": lambda _, i: (12 + i) * GIB,
    "certificate_expiry_timestamp_seconds": lambda _, __: time.time() + 300 * 86400,
    "hub_store_bytes": lambda t, _: (1 + t / 20) * GIB,
    "hub_store_quota_bytes": lambda _, __: 10 * GIB,
    "hub_disk_free_bytes": lambda t, _: (60 - t / 20) * GIB,
    "hub_disk_size_bytes": lambda _, __: 100 * GIB,
    "hub_last_report_timestamp_seconds": lambda _, i: time.time() - i,
    "created": lambda _, __: time.time() - 3600,
    "progress_ratio": lambda t, _: min(1.0, t / 30),
    "watch_age_seconds": lambda t, _: t % 60,
}
"""Of gauges; 1 for all others."""
_RATES: Mapping[str, float] = {
    "train_steps_total": 12.0,
    "train_samples_total": 770.0,
    "train_tokens_total": 9000.0,
    "comm_bytes_total": 3e5,
    "socket_bytes_total": 3.2e5,
    "gpu_seconds_total": 0.8,
    "merge_wait_seconds_total": 0.1,
    "train_loss_not_finite_total": 0.0,
    "island_restarts_total": 0.02,
    "api_requests_total": 0.3,
}
"""Of counters, each second; 0.2 for all others."""


def _apart(labels: tuple[str, ...]) -> bool:
    """Whether these are bytes that an isolated island does not exchange."""
    return "training" in labels and "hub" not in labels


def _one(seconds: float, island: int) -> float:
    """Of every gauge that is not in the list."""
    del seconds, island
    return 1.0


def _short(name: str) -> str:
    prefixes = ("kube_atoll_trainingjob_", "atoll_operator_", "atoll_reported_", "atoll_")
    return name.removeprefix(next(it for it in prefixes if name.startswith(it)))


class Process:
    """What one process says."""

    def __init__(self, role: str, families: Iterable[Family], island: int = 0) -> None:
        self.families = tuple(dict.fromkeys(families))
        self._role = role
        self._island = island
        self._instruments = Instruments(self.families)
        self._begin = self._before = time.monotonic()
        self._lock = threading.Lock()

    def says(self) -> str:
        """All of it as text, as it is by now."""
        with self._lock:
            now = time.monotonic()
            for family in self.families:
                for labels in product(*(self._values(it) for it in family.labels)):
                    self._go_on(family, labels, now)
            self._before = now
            return self._instruments.exposition()[0].decode()

    def _values(self, label: Label) -> tuple[str, ...]:
        if label.name == "role":
            return (self._role,)
        if label.name == "code":
            return _CODES["gRPC" if label.values else "HTTP"]
        if label.name == "strategy":
            return ("IterativeMerge",)
        return label.values or _NAMES[label.name]

    def _go_on(self, family: Family, labels: tuple[str, ...], now: float) -> None:
        short, passed = _short(family.name), now - self._begin
        names = [label.name for label in family.labels]
        step = labels[names.index("step")] if "step" in names else ""
        island = int(step[-1]) if step.startswith("island") else self._island
        if family.kind is Kind.COUNTER:
            speed = (1 - island / 8) * _RATES.get(short, 0.2) * (not _apart(labels))
            self._instruments.add(family, (now - self._before) * speed, *labels)
        elif family.kind is Kind.GAUGE:
            value = _VALUES.get(short, _one)(passed, island)
            so = not _OFF.intersection(labels)
            self._instruments.set(family, value if so else 0.0, *labels)
        else:
            middle = family.buckets[len(family.buckets) // 2]
            self._instruments.observe(family, middle * (0.6 + 0.5 * math.sin(passed)), *labels)


def processes() -> dict[str, Process]:
    """By the path below which each answers."""
    trains = (*workers.EVERYWHERE, *workers.TRAINING)
    island = (*trains, *workers.GPU, *workers.ISLAND)
    return {
        "operator": Process("operator", operators.ALL),
        "hub": Process("hub", (*workers.EVERYWHERE, *workers.HUB, *workers.REPORTED.values())),
        "router": Process("router", (*trains, *workers.ROUTER)),
        "merge": Process("merge", (*workers.EVERYWHERE, *workers.MERGE)),
        **{f"island-{it}": Process("island", island, it) for it in range(ISLANDS)},
    }


def extras() -> str:
    """What the client libraries say of a process."""
    return (
        "# TYPE process_cpu_seconds_total counter\n"
        f"process_cpu_seconds_total {time.process_time()}\n"
        "# TYPE process_resident_memory_bytes gauge\n"
        f"process_resident_memory_bytes {3e8}\n"
    )


def scrape_configuration(port: int) -> dict[str, Any]:
    """Of a Prometheus that looks at all of them, every second."""
    jobs = []
    for path in processes():
        role, _, island = path.partition("-")
        mine = {"trainingjob": JOB, "namespace": NAMESPACE, "pod": f"{JOB}-{path}-0", "role": role}
        if role == "operator":
            mine = {"namespace": "atoll-system", "pod": "atoll-operator-0"}
        labels = {**mine, **({"island": island} if island else {}), "__metrics_path__": f"/{path}"}
        target = {"targets": [f"127.0.0.1:{port}"], "labels": labels}
        honor = role == "operator"
        jobs.append({"job_name": path, "honor_labels": honor, "static_configs": [target]})
    return {"global": {"scrape_interval": "1s", "scrape_timeout": "1s"}, "scrape_configs": jobs}


@contextmanager
def serving() -> Iterator[int]:
    """Serve them on loopback; the port."""
    found = processes()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            process = found.get(self.path.strip("/"))
            body = (process.says() + extras()).encode() if process else b""
            self.send_response(200 if process else 404)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
