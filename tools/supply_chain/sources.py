"""Where advisories come from: a file that was fetched beforehand, or the service of osv.dev.

A source that does not answer, or answers less than it was asked, is an error: from nothing follows
nothing.
"""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final
from zipfile import BadZipFile, ZipFile

import yaml

from tools.supply_chain.advisories import (
    ECOSYSTEM,
    Database,
    RecordError,
    of_ecosystem,
)
from tools.supply_chain.locks import Pinned

SERVICE: Final = "https://api.osv.dev"
_TIMEOUT_SECONDS: Final = 30
_SUFFIXES: Final = (".json", ".yaml", ".yml")


class NoDataError(Exception):
    """Nothing is known, which is another thing than that nothing is wrong."""


def of_file(path: Path) -> Database:
    """An export of OSV: its all.zip, a folder of records, or a file with one or a list of them.

    Raises:
        NoDataError: it cannot be read, or has no record of a Python distribution.
    """
    try:
        records = of_ecosystem(_documents(path))
    except (OSError, ValueError, BadZipFile, yaml.YAMLError, RecordError) as error:
        raise NoDataError(f"{path} cannot be read: {error}") from error
    if not records:
        raise NoDataError(f"{path} holds no record of {ECOSYSTEM}")
    return Database(records, str(path))


def of_service(pins: Sequence[Pinned], address: str = SERVICE) -> Database:
    """What the service says of these versions: the records that it finds fitting, in full.

    Raises:
        NoDataError: it cannot be reached, or does not answer for each of them.
    """
    queries = [
        {"package": {"name": it.name, "ecosystem": ECOSYSTEM}, "version": it.version} for it in pins
    ]
    results = _ask(f"{address}/v1/querybatch", {"queries": queries}).get("results")
    if not isinstance(results, list) or len(results) != len(queries):
        raise NoDataError(f"{address} did not answer for each of {len(queries)} versions")
    if any("next_page_token" in it for it in results):
        raise NoDataError(f"{address} answered in part: ask with a file")
    names = sorted({it["id"] for result in results for it in result.get("vulns", ())})
    try:
        records = of_ecosystem(_ask(f"{address}/v1/vulns/{name}") for name in names)
    except RecordError as error:
        raise NoDataError(f"{address} answers something else: {error}") from error
    return Database(records, address)


def _documents(path: Path) -> Iterator[Any]:
    if path.is_dir():
        for file in sorted(it for it in path.rglob("*") if it.suffix in _SUFFIXES):
            yield from _parse(file.read_text(), file.suffix)
    elif path.suffix == ".zip":
        with ZipFile(path) as archive:
            for name in sorted(archive.namelist()):
                if Path(name).suffix in _SUFFIXES:
                    yield from _parse(archive.read(name).decode(), Path(name).suffix)
    else:
        yield from _parse(path.read_text(), path.suffix)


def _parse(text: str, suffix: str) -> list[Any]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    found = json.loads(text) if suffix == ".json" else yaml.load(text, Loader=loader)  # noqa: S506 # a safe one, in C
    return found if isinstance(found, list) else [found]


def _ask(address: str, body: object = None) -> dict[str, Any]:
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(address, data, headers)  # noqa: S310 # http or https, ours
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310 # see above
            found = json.load(answer)
    except (urllib.error.URLError, OSError, ValueError) as error:
        raise NoDataError(f"{address} cannot be asked: {error}") from error
    if not isinstance(found, dict):
        raise NoDataError(f"{address} answers something else")
    return found
