"""What a lock may not say."""

from pathlib import Path

import pytest

from tools.supply_chain.locks import LockError, Pinned, read

HASH = "a" * 64
GOOD = f"""\
# a comment
a-b==1.0 ; sys_platform == 'linux' \\
    --hash=sha256:{HASH} \\
    --hash=sha256:{"b" * 64}
    # via c
C_d==2!3.0rc1 --hash=sha256:{HASH}
"""


def lock(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "planted.lock"
    path.write_text(text)
    return path


def test_pins_have_a_version_a_marker_and_hashes(tmp_path: Path) -> None:
    assert read(lock(tmp_path, GOOD)) == (
        Pinned("a-b", "1.0", (HASH, "b" * 64), "sys_platform == 'linux'"),
        Pinned("c-d", "2!3.0rc1", (HASH,)),
    )


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("a==1.0", "planted.lock:7: has no hash: a==1.0"),
        ("a==1.0 \\\n    # via b", "planted.lock:7: has no hash"),
        (f"a>=1.0 --hash=sha256:{HASH}", "pins no version"),
        (f"a==1.* --hash=sha256:{HASH}", "pins no version"),
        (f"a --hash=sha256:{HASH}", "pins no version"),
        (f"a==1.0 --hash=md5:{HASH[:32]}", "none of SHA-256"),
        (f"a==1.0 --hash=sha256:{HASH[1:]}", "none of SHA-256"),
        (f"a @ https://example.com/a.whl --hash=sha256:{HASH}", "names an address"),
        (f"a @ ../a.whl --hash=sha256:{HASH}", "names an address"),
        ("--index-url https://example.com/simple", "names an address"),
        ("--extra-index-url=example", "is an option"),
        ("-e .", "is an option"),
        ("-r other.txt", "is an option"),
        (f"a==1.0 --hash=sha256:{HASH} --no-binary=a", "another option"),
    ],
)
def test_a_planted_fault_is_named_with_its_line(tmp_path: Path, line: str, expected: str) -> None:
    with pytest.raises(LockError) as refused:
        read(lock(tmp_path, f"{GOOD}{line}\n"))
    assert expected in str(refused.value)


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(LockError) as refused:
        read(lock(tmp_path, "a==1\nb==2\n"))
    assert len(str(refused.value).splitlines()) == 2


def test_an_empty_lock_is_none(tmp_path: Path) -> None:
    with pytest.raises(LockError, match="nothing is pinned"):
        read(lock(tmp_path, "# nothing\n"))
