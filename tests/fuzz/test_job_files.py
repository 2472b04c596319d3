"""A file that is said to be a job: `atoll validate` reads it, or says in a line what it is not."""

import functools
import json
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Final

from command_lines import told
from damage import damaged, nonsense
from drawn_jobs import drawn_job, written_jobs
from fuzzing import Fuzz

from atoll_api.exit_codes import ExitCode
from atoll_cli.documents import to_yaml

_LINES: Final = (
    b"&a [*a]", b"a: &a [1, 2]\nb: *a", b"!!python/object:os.system x", b"? [a]\n: b", b"---\n---",
    b"- " * 3000, b"[" * 3000, b"{" * 3000, b"!!binary x", b"!!timestamp 2026-99-99", b"%YAML 9.9\n",
    b"\t", b"<<: {a: 1}", b"a: 0o9", b"a: 1_000", b"a: .inf", b"a: 1e999", b"\x85", b"\xe2\x80\xa8",
    b"a: " + b"9" * 5000, b"a: 2026-01-01", b"a: 12:30:45", b"? " * 500, b"a: |\n  b\n c", b"a: >-9\n",
    b"a: &x 1\na: *y", b"kind: TrainingJob\n" * 2, b"\x00", b"\xef\xbb\xbf", b"#" * 9000,
)  # fmt: skip


def content_of(random: Random) -> bytes:
    way = random.randrange(10)
    if way == 0:
        return b"\n".join(random.choices(_LINES, k=random.randint(1, 3)))
    if way == 1:
        lines = [f"a0: &a0 [{'x, ' * 9}x]"]
        lines += [f"a{i}: &a{i} [{f'*a{i - 1}, ' * 9}1]" for i in range(1, random.randint(2, 8))]
        return "\n".join(lines).encode()
    if way < 5:
        return damaged(random, random.choice(texts()))
    if way == 5:
        text = random.choice(texts()).splitlines()
        text.insert(random.randrange(len(text)), random.choice(_LINES))
        return b"\n".join(text)
    return as_json(drawn_job(random) if way < 9 else nonsense(random))


@functools.cache
def texts() -> Sequence[bytes]:
    """As `atoll` itself would write them."""
    return [to_yaml(it).encode() for it in written_jobs()]


def as_json(document: object) -> bytes:
    """Which is YAML, too, and written a hundred times as fast."""
    try:
        return json.dumps(document, ensure_ascii=False).encode()
    except (ValueError, RecursionError):  # what no JSON can say
        return b"?"


def test_job_files(fuzz: Fuzz, tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"

    def case(random: Random) -> str:
        path.write_bytes(content_of(random))
        code, _ = told("validate", path)
        assert code in (ExitCode.OK, ExitCode.INVALID), code
        return code.name

    fuzz.run("job files", case, {"OK", "INVALID"})
