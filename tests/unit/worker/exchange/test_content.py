"""Runs of a content: what they cover, and that every blob is checked on the way."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atoll_worker.exchange import content as contents
from atoll_worker.exchange.content import (
    PIECE_BYTES,
    AlteredError,
    Blob,
    Content,
    ContentError,
    Passage,
    Run,
    digest_of,
)

BLOBS = st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=12, unique=True)


def content_of(blobs: list[bytes]) -> Content:
    return Content(Blob(digest_of(blob), len(blob)) for blob in blobs)


def sizes_of(total: int, data: st.DataObject) -> list[int]:
    cuts = sorted(data.draw(st.sets(st.integers(1, max(1, total - 1)), max_size=6)))
    return [end - begin for begin, end in pairwise([0, *cuts, total]) if end > begin]


@given(BLOBS, st.data())
def test_runs_cover_what_is_wanted_and_pieces_are_its_bytes(
    blobs: list[bytes], data: st.DataObject
) -> None:
    wanted = data.draw(st.lists(st.booleans(), min_size=len(blobs), max_size=len(blobs)))
    content = content_of(blobs)
    runs = content.runs(wanted)
    content.check(runs)
    assert all(before.end < after.begin for before, after in pairwise(runs)), "as few as can be"
    whole = b"".join(blobs)
    expected = b"".join(it for it, is_wanted in zip(blobs, wanted, strict=True) if is_wanted)
    assert b"".join(whole[begin:end] for begin, end in runs) == expected
    for position, parts in content.pieces(blobs, runs):
        found = b"".join(parts)
        assert found == whole[position : position + len(found)]
    assert b"".join(b"".join(parts) for _, parts in content.pieces(blobs, runs)) == expected


def test_a_piece_has_a_limit_and_many_parts() -> None:
    blobs = [bytes([i]) * 1000 for i in range(200)] + [bytes(3 * PIECE_BYTES)]
    sizes = [
        sum(map(len, parts))
        for _, parts in content_of(blobs).pieces(blobs, [Run(5, 200_000 + 3 * PIECE_BYTES)])
    ]
    assert set(sizes[:-1]) == {PIECE_BYTES}
    assert sum(sizes) == 200_000 + 3 * PIECE_BYTES - 5


@pytest.mark.parametrize(
    "runs",
    [
        [Run(0, 0)],
        [Run(3, 2)],
        [Run(-1, 2)],
        [Run(0, 11)],
        [Run(0, 5), Run(4, 6)],
        [Run(5, 6), Run(0, 1)],
        [Run(0, 1)] * 2,
        [Run(0, 1)] * (contents.MAX_RUNS + 1),
    ],
)
def test_runs_that_are_none_are_refused(runs: list[Run]) -> None:
    with pytest.raises(ContentError, match=r"are not after|the limit is"):
        content_of([b"12345", b"67890"]).check(runs)


@given(BLOBS, st.data())
def test_a_passage_takes_bytes_in_any_portions_and_says_what_remains(
    blobs: list[bytes], data: st.DataObject
) -> None:
    wanted = data.draw(st.lists(st.booleans(), min_size=len(blobs), max_size=len(blobs)))
    content, whole = content_of(blobs), b"".join(blobs)
    runs = content.runs(wanted)
    passage = Passage(content, runs)
    for run in runs:
        assert passage.position == run.begin
        for size in sizes_of(run.end - run.begin, data):
            position = passage.position
            passage.expect(position, size)
            passage.take(memoryview(whole)[position : position + size])
            rest = sum(end - begin for begin, end in passage.remaining())
            assert passage.passed_bytes + rest == sum(end - begin for begin, end in runs)
    assert passage.done
    assert passage.remaining() == []


@given(BLOBS, st.data())
def test_one_altered_bit_is_noticed_and_only_its_blob_passes_again(
    blobs: list[bytes], data: st.DataObject
) -> None:
    content, whole = content_of(blobs), b"".join(blobs)
    at = data.draw(st.integers(0, len(whole) - 1))
    bad = bytearray(whole)
    bad[at] ^= 1 << data.draw(st.integers(0, 7))
    passage = Passage(content, [Run(0, len(whole))])
    index = content.index_at(at)

    def pass_all() -> None:
        for size in sizes_of(len(whole), data):
            passage.take(memoryview(bad)[passage.position : passage.position + size])

    with pytest.raises(AlteredError, match=content.blobs[index].digest):
        pass_all()
    assert passage.position == passage.passed_bytes == content.starts[index]
    assert passage.remaining() == [Run(content.starts[index], len(whole))]
    passage.take(memoryview(whole)[passage.position :])
    assert passage.done


@pytest.mark.parametrize(("position", "size"), [(1, 1), (0, 11), (0, 0), (10, 1)])
def test_bytes_out_of_place_are_refused(position: int, size: int) -> None:
    passage = Passage(content_of([b"12345", b"67890"]), [Run(0, 10)])
    with pytest.raises(ContentError, match="the content goes on at 0 and up to 10"):
        passage.expect(position, size)


def test_nothing_is_expected_after_the_end() -> None:
    passage = Passage(content_of([b"1"]), [])
    assert passage.done
    with pytest.raises(ContentError):
        passage.expect(0, 1)
