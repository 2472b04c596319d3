"""`python -m tools.supply_chain`: check locks and licences, write bills of materials, look for advisories.

Ends with 0 if all is well, 1 if something was found, 2 if it was asked wrongly, and 3 if nothing is
known: no source of advisories answers, or the one that was given is too old.
"""

import argparse
import os
import sys
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from tools.supply_chain import advisories, installed, licences, locks, root, sbom, sources
from tools.supply_chain.locks import Pinned

ROOT: Final = Path(__file__).resolve().parents[2]
CODES: Final = {"well": 0, "found": 1, "asked wrongly": 2, "nothing known": 3}
IMAGES: Final = {
    "operator": "requirements-operator.lock",
    "worker": "requirements-worker.lock",
    "worker-cpu": "requirements-worker-cpu.lock",
}
_ERRORS: Final = (locks.LockError, licences.PolicyError, sbom.SbomError, root.RootError)


def main(arguments: list[str], tree: Path = ROOT) -> int:
    """Do what is asked, of the locks of a tree; the exit code."""
    asked = _parser().parse_args(arguments, argparse.Namespace(tree=tree))
    try:
        return int(asked.run(asked))
    except _ERRORS as error:
        print(error, file=sys.stderr)
        return CODES["found"]


def _check(asked: argparse.Namespace) -> int:
    """Offline: every lock is whole, and every licence is known and allowed."""
    pins = _all_pins(asked.tree)
    policy = licences.load()
    of_images = {it.name for lock in IMAGES.values() for it in locks.read(asked.tree / lock)}
    found = licences.problems(pins, of_images, licences.installed, policy)
    for line in found:
        print(f"licence of {line}", file=sys.stderr)
    names = {it.name for it in pins}
    by_hand = ", ".join(sorted(policy.recorded))
    elsewhere = sorted(it for it in names if licences.installed(it) is None)
    print(
        f"{len(names)} distributions in {len(locks.lock_paths(asked.tree))} locks, all pinned with hashes; "
        f"{len(found)} licences refused; read by a person: {by_hand}; "
        f"not installed here: {', '.join(elsewhere) or 'none'}"
    )
    return CODES["found" if found else "well"]


def _sbom(asked: argparse.Namespace) -> int:
    """Write the bill of materials of an image."""
    pins = locks.read(asked.tree / IMAGES[asked.image])
    files = _files(asked)
    machine = sbom.Machine(installed.python(files or {}) or asked.python, asked.architecture)
    taken = tuple(it for it in pins if machine.takes(it))
    if files is not None:
        found = installed.distributions(files)
        if lines := sbom.differences(taken, found):
            raise sbom.SbomError("\n".join(["the image is not what its lock says", *lines]))
    image = sbom.Image(
        f"atoll-{asked.image}",
        asked.version,
        asked.base or sbom.base_image(asked.tree / "Dockerfile"),
        IMAGES[asked.image],
        taken,
        installed.debian_packages(files or {}),
        installed.release(files or {}),
    )
    made = os.environ.get("SOURCE_DATE_EPOCH")
    content = sbom.document(image, _licences(taken), int(made) if made else None)
    written = sbom.checked(content)
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(content)
    print(f"{asked.out}: {len(written['components'])} components, {len(image.debian)} of Debian")
    return CODES["well"]


def _advisories(asked: argparse.Namespace) -> int:
    """Say which locked versions have a known vulnerability."""
    pins = _all_pins(asked.tree)
    try:
        database = _database(pins, asked)
    except sources.NoDataError as error:
        print(f"NOTHING IS KNOWN of {len(pins)} locked versions: {error}", file=sys.stderr)
        return CODES["nothing known"]
    found = advisories.findings(pins, database.records)
    for finding in found:
        print(finding.line)
    newest = database.newest
    print(
        f"{len(found)} found for {len(pins)} locked versions among {len(database.records)} records of "
        f"{database.source}" + (f", the newest of {newest:%Y-%m-%d}" if newest else "")
    )
    if found:
        return CODES["found"]
    oldest = datetime.now(UTC) - timedelta(days=asked.max_age_days)
    if asked.file and (newest is None or newest < oldest):
        print(
            f"NOTHING IS KNOWN of the last {asked.max_age_days} days: the records are older",
            file=sys.stderr,
        )
        return CODES["nothing known"]
    return CODES["well"]


def _database(pins: list[Pinned], asked: argparse.Namespace) -> advisories.Database:
    return sources.of_file(asked.file) if asked.file else sources.of_service(pins, asked.service)


def _all_pins(tree: Path) -> list[Pinned]:
    """Each version once, of all locks.

    Raises:
        LockError: with the problems of every lock.
    """
    found: dict[tuple[str, str], Pinned] = {}
    problems = []
    for path in locks.lock_paths(tree):
        try:
            for it in locks.read(path):
                found.setdefault((it.name, it.version), it)
        except locks.LockError as error:
            problems.append(str(error))
    if problems:
        raise locks.LockError("\n".join(problems))
    return [found[key] for key in sorted(found)]


def _licences(pins: tuple[Pinned, ...]) -> dict[str, licences.Licence]:
    policy = licences.load()
    known = {
        it.name: licences.licence_of(it.name, licences.installed(it.name), policy) for it in pins
    }
    if unknown := sorted(name for name, it in known.items() if it.expression is None):
        raise sbom.SbomError(f"of unknown licence: {', '.join(unknown)}")
    return known


def _version() -> str:
    return str(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"])


def _files(asked: argparse.Namespace) -> root.Files | None:
    if asked.root:
        return root.of_folder(asked.root)
    return root.of_archive(asked.archive) if asked.archive else None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tools.supply_chain", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    check = commands.add_parser("check", help=_check.__doc__)
    check.set_defaults(run=_check)
    bill = commands.add_parser("sbom", help=_sbom.__doc__)
    bill.set_defaults(run=_sbom)
    bill.add_argument("image", choices=IMAGES)
    bill.add_argument("--out", type=Path, required=True, help="the file to write")
    bill.add_argument("--version", default=_version(), help="of the image")
    bill.add_argument(
        "--python", default="3.12", help="of the base image, where no files of it are given"
    )
    bill.add_argument("--architecture", default="x86_64")
    bill.add_argument("--base", help="the base image, if not the Dockerfile's")
    held = bill.add_mutually_exclusive_group()
    held.add_argument("--root", type=Path, help="a folder with the image's files")
    held.add_argument("--archive", type=Path, help="the image, as Docker or an OCI tool saves it")
    known = commands.add_parser("advisories", help=_advisories.__doc__)
    known.set_defaults(run=_advisories)
    known.add_argument("--file", type=Path, help="an export of OSV: a zip, a folder, a file")
    known.add_argument("--service", default=sources.SERVICE, help="whom to ask without a file")
    known.add_argument(
        "--max-age-days", type=int, default=30, help="of the newest record of a file"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
