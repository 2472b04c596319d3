"""Bytes that the steps of a run on this machine have moved, as its hub exports them while it goes.

The status has no such numbers. What cannot be had is left out: nobody's screen ends for it.
"""

import http.client
import json
from collections import defaultdict
from pathlib import Path
from typing import Final
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

from prometheus_client.parser import text_string_to_metric_families

from atoll_api import names
from atoll_worker.metrics import COMM_BYTES, REPORTED, STEP

EVERY_SECONDS: Final = 5.0
"""Steps tell their hub every few seconds; to ask more often shows nothing new."""
_PATIENCE_SECONDS: Final = 1.0
_LOOPBACK: Final = "127.0.0.1:"
_FAMILY: Final = REPORTED[COMM_BYTES.name].name


def ask(folder: Path) -> dict[str, int]:
    """Bytes sent and received by each step, by its name; none of a run that cannot be asked."""
    address = hub_address(folder)
    if address is None:
        return {}
    opener = build_opener(ProxyHandler({}))  # a proxy has no business on loopback
    try:
        with opener.open(f"http://{address}/metrics", timeout=_PATIENCE_SECONDS) as answer:
            return bytes_of_steps(answer.read().decode())
    except (URLError, OSError, http.client.HTTPException, ValueError):
        return {}


def hub_address(folder: Path) -> str | None:
    """Where the hub of a run can be scraped, by what the run tells Prometheus."""
    try:
        targets = json.loads((folder / "prometheus" / "targets.json").read_text())
        found = [it["targets"][0] for it in targets if it["labels"]["role"] == names.HUB]
    except (OSError, ValueError, TypeError, LookupError):
        return None
    local = [it for it in found if str(it).startswith(_LOOPBACK)]
    return str(local[0]) if local else None


def bytes_of_steps(exposition: str) -> dict[str, int]:
    """Both directions and all peers, by step.

    Raises:
        ValueError: it is no exposition.
    """
    own = [line for line in exposition.splitlines() if line.startswith(_FAMILY)]
    found: defaultdict[str, int] = defaultdict(int)
    for family in text_string_to_metric_families("\n".join([*own, ""])):
        for sample in family.samples:
            found[sample.labels[STEP.name]] += int(sample.value)
    return dict(found)
