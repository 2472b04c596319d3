"""What a process owes its supervisor: it stops when told, and does not outlive it. No torch."""

import os
import signal
import threading
from types import FrameType

from atoll_api import names
from atoll_api.exit_codes import ExitCode

_STANDARD_INPUT = 0


class StopFlag:
    """Raised by SIGTERM and SIGINT, from construction on."""

    def __init__(self) -> None:
        self._requested = False
        signal.signal(signal.SIGTERM, self._raise)
        signal.signal(signal.SIGINT, self._raise)

    def requested(self) -> bool:
        """See `ports.Stop.requested`."""
        return self._requested

    def _raise(self, _number: int, _frame: FrameType | None) -> None:
        self._requested = True


def hold_lifeline() -> None:
    """End this process at once when the supervisor's end of standard input closes.

    Only for a process whose supervisor said so in the environment. A supervisor that was killed
    cannot stop its children; the kernel closes its pipes for it.
    """
    if os.environ.get(names.ENV_LIFELINE) == "1":
        threading.Thread(target=_end_with_input, name="lifeline", daemon=True).start()


def _end_with_input() -> None:
    try:
        while os.read(_STANDARD_INPUT, 1024):
            pass
    finally:
        os._exit(ExitCode.DISRUPTED)
