"""`run_stub_job.py WORLD OUT`: a parent to be killed; prints its outcome if it is not."""

import asyncio
import sys
from pathlib import Path

from builders import job
from stub_world import StubWorld

from atoll_operator.local.run import run


async def main() -> None:
    world = StubWorld(Path(sys.argv[1]))
    outcome = await run(job(2), Path(sys.argv[2]), world.options(), lambda _: None, asyncio.Event())
    print(outcome)  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main())
