"""NVFlare beside Atoll: its simulator, in which the server and each of two clients is a process.

In NVFlare's favour: no TLS and no provisioning, clients that ask for tasks every 50 ms in place of
every 2 s, and a job that neither averages nor keeps anything (`exchange_nvflare_app.py`). Models
travel as they do in a deployment: the clients pull arrays over its own TCP driver, and the server
pulls theirs. Four models cross in a round, as many as the hub of Atoll takes and gives.
"""

import os
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from exchange_peers import Control, Kept, Peer, environment

VERSION: Final = "2.9.0"
REQUIREMENTS: Final = (f"nvflare=={VERSION}", "numpy==2.4.6", "protobuf==7.36.2")
START_SECONDS: Final = 120.0
POLL_SECONDS: Final = 0.05
"""As the app sets it."""
_MAIN: Final = "import exchange_nvflare_app as it; it.main()"


def start(stack: ExitStack, folder: Path, peers_folder: Path) -> Peer:
    """NVFlare with two clients and the job running; all of it ends with the stack."""
    programs = environment(peers_folder, "nvflare", REQUIREMENTS)
    control, kept = Control(), Kept(folder)
    stack.callback(control.close)
    stack.callback(kept.close)
    variables = {
        **{key: it for key, it in os.environ.items() if not key.startswith("NVFLARE_")},
        "PATH": f"{programs}:{os.environ.get('PATH', '')}",
        "PYTHONPATH": str(Path(__file__).parent),
        "HOME": str(folder),  # it keeps a registry of what it deployed there
    }
    command = [programs / "python", "-c", _MAIN, control.address, folder]
    kept.start("simulator", command, variables)
    control.wait(kept, START_SECONDS)
    return Peer("NVFlare", kept, control, POLL_SECONDS)
