"""Certificates and keys that were damaged, or are somebody else's: refused in a line, or right."""

from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Final

from cryptography.hazmat.primitives import serialization
from damage import damaged_folder, read_folder, write_folder
from fuzzing import Fuzz
from identities import Household

from atoll_api.names import Process
from atoll_operator.identity import files_of, write
from atoll_worker.errors import IdentityError
from atoll_worker.exchange import identity

NOW: Final = datetime(2026, 1, 1, tzinfo=UTC)


def household(folder: Path) -> dict[str, bytes]:
    """Of two jobs, and a key that wants a password."""
    for number, uid in enumerate(("0", "other")):
        people = Household(uid, NOW)
        issued = [people.identity(role) for role in ("island", "hub", "cli")]
        write(issued, folder / str(number))
    key = serialization.load_pem_private_key(issued[0].key, None)
    locked = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.BestAvailableEncryption(b"secret"),
    )
    (folder / "1" / "island-0.key").write_bytes(locked)
    return read_folder(folder)


def test_identities(fuzz: Fuzz, tmp_path: Path) -> None:
    files = household(tmp_path / "whole")
    own = {name: content for name, content in files.items() if name.startswith("0/island-0")}
    folder = tmp_path / "damaged"

    def case(random: Random) -> str:
        for path in sorted(folder.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        if folder.exists():
            folder.rmdir()
        found = damaged_folder(random, own)
        if random.random() < 0.3 and found:
            found[random.choice(sorted(own))] = random.choice(sorted(files.values()))
        write_folder(folder, found)
        told = files_of(Process("0", "island", 0), folder / "0")
        if random.random() < 0.05:
            place = random.choice(("", "\x00", "x" * 5000, "\ud800", "/", "/dev/null"))
            told = told.model_copy(
                update={random.choice(("certificate", "key", "authority")): place}
            )
        try:
            taken = identity.load(told, Process("0", "island", 0), NOW)
        except IdentityError as error:
            assert 0 < len(str(error)) < 20_000
            return "refused"
        taken.for_channel()
        assert taken.expires is not None
        return "taken"

    fuzz.run("identities", case, {"refused", "taken"})
