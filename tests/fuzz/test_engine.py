"""What tries the surfaces finds what is planted: an error, a hang, greed; and names the case."""

from pathlib import Path
from random import Random

import fuzzing
import pytest
from damage import altered, damaged, damaged_folder
from fuzzing import SHARES, numbers_of, random_of, tried


def test_an_error_is_found_with_its_number_and_once(tmp_path: Path) -> None:
    def case(random: Random) -> str:
        return str({0: 0}[random.randrange(4)])

    tally = tried("specs", case, 7, range(100), tmp_path / "running")
    (found,) = tally.failures
    assert found.kind.startswith("KeyError at test_engine.py")
    assert tally.failed > 50
    assert tally.outcomes == {"found": tally.failed, "0": 100 - tally.failed}
    with pytest.raises(KeyError):
        case(random_of("specs", 7, found.number))


def test_a_hang_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzzing, "CASE_SECONDS", 0.05)

    def case(random: Random) -> str:
        while True:
            try:
                random.random()
            except Exception:  # noqa: BLE001 - as a product that goes on whatever happens
                return "never"

    tally = tried("specs", case, 0, range(1), tmp_path / "running")
    assert [it.kind.partition(" ")[0] for it in tally.failures] == ["HangError"]
    assert (tmp_path / "running").read_text().split() == ["specs", "0:0"]


def test_greed_is_found_though_all_is_given_back(tmp_path: Path) -> None:
    def case(random: Random) -> str:
        return str(len(random.choice("ab") * (fuzzing.CASE_BYTES + (32 << 20))))

    tally = tried("specs", case, 0, range(1), tmp_path / "running")
    assert [it.kind.partition(" ")[0] for it in tally.failures] == ["GreedyError"]


def test_a_case_is_a_function_of_its_number() -> None:
    files = {"a.json": b'{"a": [1, {"b": "c"}]}', "b": bytes(range(256))}

    def drawn(number: int) -> object:
        random = random_of("stores", 1, number)
        return altered(random, {"a": [1]}), damaged(random, b"abc"), damaged_folder(random, files)

    assert [repr(drawn(it)) for it in range(50)] == [repr(drawn(it)) for it in range(50)]
    assert len({repr(drawn(it)) for it in range(50)}) > 45


def test_the_surfaces_share_all_cases() -> None:
    assert sum(SHARES.values()) == 100
    assert sum(len(numbers_of(it, 100_000)) for it in SHARES) == 100_000
