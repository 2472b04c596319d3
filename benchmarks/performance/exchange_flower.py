"""Flower beside Atoll: a SuperLink and two SuperNodes on loopback, as a user would start them.

In Flower's favour: no TLS and no authentication, a state in memory, tasks polled for every 50 ms
in place of every second, no telemetry, and an app that does nothing that it need not
(`exchange_flower_app.py`). A round gives both clients a fresh model and takes a fresh one from
each: over the SuperLink, four models in all, as many as cross the hub of Atoll when two islands
give each other theirs. What stays slow is Flower's own: a process for every task, nodes that ask
for work every 3 s, objects of 5 MiB hashed at both ends.
"""

import os
import shutil
import socket
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final

from exchange_peers import Control, Kept, Peer, environment, free_port

VERSION: Final = "1.41.0"
REQUIREMENTS: Final = (f"flwr=={VERSION}", "numpy==2.4.6", "protobuf==6.33.6")
START_SECONDS: Final = 120.0
POLL_SECONDS: Final = 3.0
"""How long a node that found nothing waits; it cannot be set."""
_APP: Final = Path(__file__).with_name("exchange_flower_app.py")
_PROJECT: Final = """\
[project]
name = "atoll-rounds"
version = "1.0.0"
description = "Rounds without training"
license = {{ file = "LICENSE" }}
dependencies = ["flwr>={version}"]
[tool.flwr.app]
publisher = "atoll"
fab-format-version = 1
flwr-version-target = "{version}"
[tool.flwr.app.components]
serverapp = "atoll_rounds.app:server"
clientapp = "atoll_rounds.app:client"
[tool.flwr.app.config]
control = "{control}"
"""
_CONNECTION: Final = """\
[superlink]
default = "benchmark"
[superlink.benchmark]
address = "{address}"
insecure = true
"""


def start(stack: ExitStack, folder: Path, peers_folder: Path) -> Peer:
    """Flower with two nodes and the app running; all of it ends with the stack."""
    programs = environment(peers_folder, "flower", REQUIREMENTS)
    control, kept = Control(), Kept(folder)
    stack.callback(control.close)
    stack.callback(kept.close)
    address = f"127.0.0.1:{free_port()}"
    app = _write(folder, control.address, address)
    variables = _variables(programs, folder)
    _start_superlink(kept, programs, address, variables)
    for index in range(2):
        command = [programs / "flower-supernode", "--insecure", "--superlink", address]
        own = ["--host", "127.0.0.1", "--port", free_port()]
        kept.start(f"supernode-{index}", [*command, *own], variables)
    kept.start("run", [programs / "flwr", "run", app, "benchmark"], variables)
    control.wait(kept, START_SECONDS)
    return Peer("Flower", kept, control, POLL_SECONDS)


def _start_superlink(kept: Kept, programs: Path, address: str, variables: dict[str, str]) -> None:
    host, _, port = address.rpartition(":")
    command = [programs / "flower-superlink", "--insecure", "--host", host, "--port", port]
    # Its app needs nothing that is not there.
    kept.start("superlink", [*command, "--disable-runtime-dependency-installation"], variables)
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        kept.cpu_seconds()
        with suppress(OSError), socket.create_connection((host, int(port)), 1):
            return
        time.sleep(0.2)
    raise SystemExit(f"Flower's SuperLink does not listen:\n{kept.tail()}")


def _variables(programs: Path, folder: Path) -> dict[str, str]:
    inherited = {key: it for key, it in os.environ.items() if not key.startswith("FLWR_")}
    return {
        **inherited,
        "PATH": f"{programs}:{os.environ.get('PATH', '')}",  # it starts its parts by name
        "FLWR_HOME": str(folder / "home"),
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
        "FLWR_SUPEREXEC_TASK_POLL_INTERVAL": "0.05",
    }


def _write(folder: Path, control: str, address: str) -> Path:
    """The app as Flower wants it, and where its command line finds the SuperLink."""
    app = folder / "app"
    package = app / "atoll_rounds"
    package.mkdir(parents=True)
    shutil.copy(_APP, package / "app.py")
    (package / "__init__.py").touch()
    (app / "LICENSE").write_text("Apache-2.0\n")
    (app / "pyproject.toml").write_text(_PROJECT.format(version=VERSION, control=control))
    home = folder / "home"
    home.mkdir()
    (home / "config.toml").write_text(_CONNECTION.format(address=address))
    return app
