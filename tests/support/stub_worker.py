"""A worker that does what a script says, as a real process: `stub_worker.py WORLD ORDER.json`.

WORLD is a folder. `WORLD/<step>.script` holds one line an attempt, of words:
`bind` binds the step's refs, `say:TEXT` prints, `sleep` runs until SIGTERM (then exits 83),
`late` says that it waits for SIGTERM and then goes on, `deaf` ignores SIGTERM, `exit:N` ends,
`killed` kills itself. Without a script: bind, exit 0.
`WORLD/<step>.attempts` lists the process ids of all attempts. Refs are files in `WORLD/refs`.
The hub writes its ready file and waits. Every attempt ends when its standard input closes.
"""

import json
import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

STOP_EXIT = 83


def main() -> None:
    world, order_file = Path(sys.argv[1]), Path(sys.argv[2])
    order = json.loads(order_file.read_text())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    signal.signal(signal.SIGTERM, _exit_disrupted)
    attempts = world / f"{order['step']}.attempts"
    with attempts.open("a") as file:
        file.write(f"{os.getpid()}\n")
    script = _script(world, order["step"], len(attempts.read_text().split()))
    for word in script:
        _do(word, world, order)
    if order["role"] == "hub":
        _serve(order)


def _script(world: Path, step: str, attempt: int) -> list[str]:
    path = world / f"{step}.script"
    if not path.exists():
        return [] if step == "hub" else ["bind"]
    lines = path.read_text().splitlines()
    return lines[min(attempt, len(lines)) - 1].split()


def _do(word: str, world: Path, order: dict[str, Any]) -> None:
    verb, _, text = word.partition(":")
    match verb:
        case "bind":
            _bind(world, order)
        case "say":
            print(text.replace("_", " "), flush=True)  # noqa: T201
        case "sleep":
            _sleep()
        case "late":
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
            print("waits", flush=True)  # noqa: T201
            signal.sigwait({signal.SIGTERM})
        case "deaf":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        case "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "exit":
            sys.exit(int(text))
        case _:
            raise ValueError(word)


def _bind(world: Path, order: dict[str, Any]) -> None:
    role, count = order["role"], order.get("count", 0)
    refs = {
        "partition": [*(f"assignment@{it}" for it in range(count)), "assignment"],
        "island": [f"experts@{order.get('island')}"],
        "evaluate": ["report"],
    }
    folder = world / "refs"
    folder.mkdir(exist_ok=True)
    for name in refs.get(role, [role]):
        (folder / name).write_text("blake3:0")


def _serve(order: dict[str, Any]) -> None:
    ready = Path(order["readyFile"])
    draft = ready.with_suffix(".draft")
    address = f"127.0.0.1:{order['port'] or 4242}"
    draft.write_text(json.dumps({"address": address, "pid": os.getpid()}))
    draft.replace(ready)
    _sleep()


def _sleep() -> NoReturn:
    while True:
        signal.pause()


def _end_with_parent() -> None:
    while os.read(0, 1):  # not sys.stdin: its lock would be held while the interpreter ends
        pass
    os._exit(1)


def _exit_disrupted(_number: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(STOP_EXIT)


if __name__ == "__main__":
    main()
