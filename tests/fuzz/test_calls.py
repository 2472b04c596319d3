"""Any bytes to any call of a real hub: a result, or a status and a sentence; and the hub stays well."""

from pathlib import Path
from random import Random
from typing import Final

import damage
from drawing import drawing
from fuzzing import Fuzz
from google.protobuf.message import Message
from hub_target import assert_plain, assert_well, callers, requests, targeted
from raw_calls import METHODS, WATCH

WELL_EVERY: Final = 100
"""Cases between two looks at what was bound before."""
MOST_BYTES: Final = 300 << 20
"""Of the hub over the whole run: four of its threads at work on the largest message."""


def test_calls(fuzz: Fuzz, tmp_path: Path) -> None:
    with targeted(tmp_path) as target:
        caller = drawing(callers)
        paths = [it for it in METHODS for _ in range(1 if it == WATCH else 20)]
        drawn = {it: drawing(requests(it, target.pools)) for it in METHODS}
        tries = 0

        def case(random: Random) -> str:
            nonlocal tries
            path = random.choice(paths)
            sent = [content_of(random, it) for it in drawn[path](random)]
            answer = target.call(caller(random), path, sent)
            assert_plain(path, answer)
            tries += 1
            if tries % WELL_EVERY == 0:
                assert_well(target)
                assert target.resident_bytes() < MOST_BYTES, target.resident_bytes()
            return answer.code.name

        fuzz.run("calls", case, {"OK", "INVALID_ARGUMENT", "PERMISSION_DENIED", "NOT_FOUND"})
        assert_well(target)


def content_of(random: Random, message: Message) -> bytes:
    content = message.SerializeToString()
    way = random.randrange(6)
    if way == 0:
        return damage.damaged(random, content)
    return random.randbytes(random.randint(0, 300)) if way == 1 else content
