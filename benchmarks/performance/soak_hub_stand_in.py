"""The hub as it is, but for a leak that is planted: what `soak.py` has to find, to be believed."""

import sys
from typing import Any

from planted_leaks import planted

from atoll_api import names
from atoll_worker import __main__ as worker
from atoll_worker.exchange.store import Store

if __name__ == "__main__":
    leak, drop = planted(), Store.drop

    def leaking(store: Store, refs: Any) -> Any:
        """All that a job bound is dropped in one call, at its end."""
        if names.REPORT_REF in refs:
            leak.drip()
        return drop(store, refs)

    type.__setattr__(Store, "drop", leaking)
    sys.exit(worker.main())
