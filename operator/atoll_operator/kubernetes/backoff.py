"""How long to wait before something is tried again; pure: chance is an argument."""

from dataclasses import dataclass
from typing import Final

from atoll_operator.errors import ApiError

_MOST_DOUBLINGS: Final = 64
"""Beyond, a float would overflow."""


@dataclass(frozen=True)
class Backoff:
    """Twice as long after every failure, up to a limit, and a little longer by chance."""

    first_seconds: float = 0.1
    max_seconds: float = 60.0
    jitter: float = 0.2
    """At most this part is added, so that those who failed together do not return together."""

    def seconds(self, failures: int, chance: float) -> float:
        """After so many failures in a row, with a chance in [0, 1)."""
        doublings = min(max(failures, 1) - 1, _MOST_DOUBLINGS)
        capped = min(self.first_seconds * 2.0**doublings, self.max_seconds)
        return capped * (1.0 + self.jitter * chance)

    def seconds_after(self, error: Exception, failures: int, chance: float) -> float:
        """Not before the server wants to be asked again."""
        asked = error.retry_after_seconds if isinstance(error, ApiError) else None
        return max(self.seconds(failures, chance), asked or 0.0)
