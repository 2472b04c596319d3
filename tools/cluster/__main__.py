"""`python -m tools.cluster up|down|status|logs|prepare|images|load-image|kwok`: a Kubernetes on this machine.

State is kept in one folder (--state, ATOLL_CLUSTER_STATE), what is built in another (--cache,
ATOLL_CLUSTER_CACHE), both below the XDG folders otherwise. If KUBECONFIG names another cluster,
`up` leaves this machine alone: the tests will use that one.
"""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType

from tools.cluster import (
    bring_up,
    containers,
    images,
    lock,
    machine,
    places,
    programs,
    report,
    take_down,
)
from tools.cluster.addresses import IMAGES
from tools.cluster.components import NAMES, Wishes
from tools.cluster.errors import ClusterError
from tools.cluster.places import LOCK, Places


def main() -> int:
    """Do one command."""
    options = _parser().parse_args()
    signal.signal(signal.SIGTERM, _end)
    try:
        found = places.find(os.environ, options.state, options.cache)
        return int(COMMANDS[options.command](found, options))
    except ClusterError as error:
        print(f"cluster: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def parse_flags(given: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
    """`component:--flag=value` -> component -> its flags."""
    flags: dict[str, tuple[str, ...]] = {}
    for one in given:
        name, _, flag = one.partition(":")
        if name not in NAMES or not flag.startswith("-"):
            raise ClusterError(f"{one!r} is not COMPONENT:--flag=value; known: {', '.join(NAMES)}")
        flags[name] = (*flags.get(name, ()), flag)
    return flags


def foreign_cluster(environment: Mapping[str, str], found: Places) -> str | None:
    """The KUBECONFIG of a cluster that is not ours to start."""
    given = environment.get("KUBECONFIG", "")
    return None if given in ("", str(found.kubeconfig)) else given


def _up(found: Places, options: argparse.Namespace) -> int:
    foreign = foreign_cluster(os.environ, found)
    if foreign:
        print(f"KUBECONFIG={foreign} names a cluster: tests use that one, nothing is started")
        return 0
    if options.if_possible and not _possible(found):
        return 0
    wishes = Wishes(audit=options.audit, flags=parse_flags(options.flag))
    machine.require_root()
    with lock.hold(LOCK, lock.UP):
        bring_up.up(found, wishes)
        if options.images:
            images.build_and_load(found, IMAGES, images.CPU_LOCK)
    return 0


def _possible(found: Places) -> bool:
    reason = programs.impossible(found.cache, os.geteuid())
    if reason:
        print(f"NO CLUSTER: {reason}; tests that need one will be skipped")
    return reason is None


def _prepare(found: Places, options: argparse.Namespace) -> int:
    if options.if_possible and not _possible(found):
        return 0
    machine.require_root()
    programs.provide(found.cache)
    with lock.hold(LOCK, "images"):
        images.build(found, IMAGES, images.CPU_LOCK)
    return 0


def _images(found: Places, options: argparse.Namespace) -> int:
    machine.require_root()
    lockfile = images.FULL_LOCK if options.full else images.CPU_LOCK
    with lock.hold(LOCK, "images"):
        images.build_and_load(found, options.target or IMAGES, lockfile)
    return 0


def _down(found: Places, options: argparse.Namespace) -> int:
    machine.require_root()
    with lock.hold(LOCK, lock.DOWN):
        take_down.down(found, purge=options.purge)
    return 0


def _status(found: Places, _: argparse.Namespace) -> int:
    return 0 if report.status(found) else 1


def _logs(found: Places, options: argparse.Namespace) -> int:
    report.logs(found, options.component, options.lines)
    return 0


def _load_image(found: Places, options: argparse.Namespace) -> int:
    containers.load(found, options.archive)
    return 0


def _kwok(found: Places, _: argparse.Namespace) -> int:
    print(programs.build_simulator(found.cache))
    return 0


COMMANDS: dict[str, Callable[[Places, argparse.Namespace], int]] = {
    "up": _up,
    "down": _down,
    "status": _status,
    "logs": _logs,
    "prepare": _prepare,
    "images": _images,
    "load-image": _load_image,
    "kwok": _kwok,
}


def _parser() -> argparse.ArgumentParser:
    everywhere = argparse.ArgumentParser(add_help=False)
    everywhere.add_argument("--state", type=Path, help="the folder of this cluster")
    everywhere.add_argument("--cache", type=Path, help="the folder of what is built")
    parser = argparse.ArgumentParser(prog="tools.cluster", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", parents=[everywhere], help="start it, or repair it")
    up.add_argument("--audit", action=argparse.BooleanOptionalAction, default=True)
    up.add_argument("--flag", action="append", default=[], help="COMPONENT:--flag=value")
    up.add_argument("--images", action="store_true", help="Atoll's images too")
    up.add_argument("--if-possible", action="store_true", help="no error where none can be")
    prepare = commands.add_parser(
        "prepare", parents=[everywhere], help="build all that `up --images` needs, start nothing"
    )
    prepare.add_argument("--if-possible", action="store_true", help="no error where none can be")
    build = commands.add_parser(
        "images", parents=[everywhere], help="build and load Atoll's images"
    )
    build.add_argument("target", nargs="*", choices=[*IMAGES, []], help="all of them if none")
    build.add_argument("--full", action="store_true", help="with what torch needs on GPUs")
    down = commands.add_parser("down", parents=[everywhere], help="end it, leave nothing behind")
    down.add_argument("--purge", action="store_true", help="images and logs too")
    commands.add_parser("status", parents=[everywhere], help="what runs, what is not ready")
    logs = commands.add_parser("logs", parents=[everywhere], help="the last lines of each log")
    logs.add_argument("component", nargs="?", choices=NAMES)
    logs.add_argument("--lines", type=int, default=15)
    load = commands.add_parser("load-image", parents=[everywhere], help="import an archive")
    load.add_argument("archive", type=Path)
    commands.add_parser(
        "kwok", parents=[everywhere], help="build what simulates nodes, for benchmarks"
    )
    return parser


def _end(_: int, __: FrameType | None) -> None:
    raise SystemExit("ended by SIGTERM")


if __name__ == "__main__":
    sys.exit(main())
