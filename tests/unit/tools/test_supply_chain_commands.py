"""What the commands say, and how they end: to know nothing is another end than to find nothing."""

import json
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
import yaml

from tools.supply_chain.__main__ import CODES, IMAGES, main

HASH = "a" * 64
LOCK = f"jinja2==2.10 --hash=sha256:{HASH}\nsafe==1.0 --hash=sha256:{HASH}\n"
ESCAPE: Mapping[str, Any] = {
    "id": "PYSEC-2019-217",
    "modified": "2021-07-05T00:01:22Z",
    "details": "A sandbox escape.",
    "affected": [{"package": {"name": "jinja2", "ecosystem": "PyPI"}, "versions": ["2.10"]}],
}
HARMLESS: Mapping[str, Any] = {
    "id": "PYSEC-0000-1",
    "modified": "2021-07-05T00:01:22Z",
    "affected": [{"package": {"name": "jinja2", "ecosystem": "PyPI"}, "versions": ["1.0"]}],
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree whose locks pin two distributions."""
    (tmp_path / "tools").mkdir()
    for name in ("requirements.lock", "tools/bootstrap.lock", *IMAGES.values()):
        (tmp_path / name).write_text(LOCK)
    return tmp_path


class Service:
    """Answers as osv.dev does."""

    def __init__(self) -> None:
        self.vulnerable = {("jinja2", "2.10"): [ESCAPE]}
        self.change = dict[str, Any]()
        """Keys of the answer to a batch that are replaced."""

    def batch(self, queries: list[Any]) -> Mapping[str, Any]:
        results: list[Any] = []
        for query in queries:
            assert query["package"]["ecosystem"] == "PyPI"
            found = self.vulnerable.get((query["package"]["name"], query["version"]), [])
            results.append({"vulns": [{"id": it["id"]} for it in found]} if found else {})
        return {"results": results, **self.change}

    def record(self, name: str) -> Mapping[str, Any]:
        return next(it for found in self.vulnerable.values() for it in found if it["id"] == name)


@pytest.fixture
def service() -> Iterator[tuple[Service, str]]:
    given = Service()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self.answer(given.batch(body["queries"]))

        def do_GET(self) -> None:
            self.answer(given.record(self.path.rpartition("/")[2]))

        def answer(self, document: Mapping[str, Any]) -> None:
            content = json.dumps(document).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Silent."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield given, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def told(code: int, capsys: pytest.CaptureFixture[str]) -> tuple[str, str, str]:
    (name,) = (name for name, it in CODES.items() if it == code)
    return (name, *capsys.readouterr())


def test_the_tree_as_it_is_passes(capsys: pytest.CaptureFixture[str]) -> None:
    name, out, err = told(main(["check"]), capsys)
    assert (name, err) == ("well", "")
    assert "0 licences refused" in out


def test_a_lock_line_without_a_hash_ends_the_check(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tree / "tools/bootstrap.lock").write_text("uv==1.0\n")
    (tree / "requirements.lock").write_text("torch>=1.0\n")
    name, _, err = told(main(["check"], tree), capsys)
    assert name == "found"
    assert err.splitlines() == [
        "requirements.lock:1: pins no version: torch>=1.0",
        "bootstrap.lock:1: has no hash: uv==1.0",
    ]


def test_a_distribution_that_nobody_knows_ends_the_check(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tree / "requirements.lock").write_text(f"no-such-thing==1.0 --hash=sha256:{HASH}\n")
    name, _, err = told(main(["check"], tree), capsys)
    assert name == "found"
    assert "licence of no-such-thing: not installed here, and not recorded" in err


@pytest.mark.parametrize("form", ["one.json", "list.json", "folder", "all.zip", "one.yaml"])
def test_a_locked_version_with_an_advisory_is_found(
    tree: Path, tmp_path: Path, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / form
    if form == "folder":
        path.mkdir()
        (path / "PYSEC-2019-217.json").write_text(json.dumps(ESCAPE))
        (path / "PYSEC-0000-1.yaml").write_text(yaml.safe_dump(HARMLESS))
    elif form == "all.zip":
        with ZipFile(path, "w") as archive:
            archive.writestr("PYSEC-2019-217.json", json.dumps(ESCAPE))
    elif form == "one.yaml":
        path.write_text(yaml.safe_dump(ESCAPE))
    else:
        path.write_text(json.dumps([HARMLESS, ESCAPE] if form == "list.json" else ESCAPE))
    name, out, _ = told(main(["advisories", "--file", str(path)], tree), capsys)
    assert name == "found"
    assert out.startswith("jinja2 2.10: PYSEC-2019-217")


def test_old_records_that_find_nothing_are_not_good_news(
    tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "one.json"
    path.write_text(json.dumps(HARMLESS))
    name, out, err = told(main(["advisories", "--file", str(path)], tree), capsys)
    assert name == "nothing known"
    assert "the newest of 2021-07-05" in out
    assert err == "NOTHING IS KNOWN of the last 30 days: the records are older\n"
    long = ["--max-age-days", "100000"]
    assert told(main(["advisories", "--file", str(path), *long], tree), capsys)[0] == "well"


@pytest.mark.parametrize("content", ["", "[]", "{", "{}", '{"id": "X", "affected": []}', None])
def test_a_file_that_holds_no_record_says_nothing(
    tree: Path, tmp_path: Path, content: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "some.json"
    if content is not None:
        path.write_text(content)
    name, out, err = told(main(["advisories", "--file", str(path)], tree), capsys)
    assert name == "nothing known"
    assert out == ""
    assert err.startswith("NOTHING IS KNOWN of 2 locked versions")


def test_a_service_is_asked_for_each_version(
    tree: Path, service: tuple[Service, str], capsys: pytest.CaptureFixture[str]
) -> None:
    given, address = service
    name, out, _ = told(main(["advisories", "--service", address], tree), capsys)
    assert name == "found"
    assert "jinja2 2.10: PYSEC-2019-217" in out
    given.vulnerable.clear()
    name, out, _ = told(main(["advisories", "--service", address], tree), capsys)
    assert name == "well"
    assert out.startswith("0 found for 2 locked versions")


@pytest.mark.parametrize(
    "change", [{"results": []}, {"results": None}, {"results": [{}, {"next_page_token": "x"}]}]
)
def test_half_an_answer_is_none(
    tree: Path,
    service: tuple[Service, str],
    change: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
) -> None:
    given, address = service
    given.change = change
    assert told(main(["advisories", "--service", address], tree), capsys)[0] == "nothing known"


def test_a_service_that_is_away_is_not_good_news(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        address = f"http://127.0.0.1:{server.server_port}"
    name, out, err = told(main(["advisories", "--service", address], tree), capsys)
    assert (name, out) == ("nothing known", "")
    assert "cannot be asked" in err
