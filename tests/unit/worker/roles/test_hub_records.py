"""What the steps told is written down beside the hub's other work, not in its way."""

import threading
from pathlib import Path

from atoll.progress.v1 import progress_pb2 as pb
from atoll_api.hub_order import FolderStore
from atoll_worker.exchange.opening import opened
from atoll_worker.exchange.progress import ProgressBook
from atoll_worker.exchange.server import Threads
from atoll_worker.roles.hub import PROGRESS_FILE, TOTALS_FILE, Records


class WatchedBook(ProgressBook):
    """Remembers who puts it into words."""

    def __init__(self) -> None:
        super().__init__()
        self.words_by: set[str] = set()

    def dump(self) -> bytes:
        self.words_by.add(threading.current_thread().name)
        return super().dump()


async def test_the_event_loop_puts_nothing_into_words(tmp_path: Path) -> None:
    """Reports of 1,000 islands take it 30 ms, once a second."""
    book, threads = WatchedBook(), Threads()
    book.put(pb.StepProgress(step_name="island-0", done_count=3))
    with opened(FolderStore(folder=str(tmp_path)), None) as store:
        await Records(store, book).save_now_and_then(threads)
        threads.close()
        assert len(book.words_by) == 1
        assert threading.current_thread().name not in book.words_by
        again = ProgressBook()
        Records(store, again).load()
    assert [it.done_count for it in again.steps()] == [3]


async def test_what_is_written_often_is_written_a_small_share_of_the_time(tmp_path: Path) -> None:
    book, threads = ProgressBook(), Threads()
    with opened(FolderStore(folder=str(tmp_path)), None) as store:
        records = Records(store, book)
        for done in (1, 2):
            book.put(pb.StepProgress(step_name="island-0", done_count=done))
            await records.save_now_and_then(threads)
        late = book.changed
        records.save()
        threads.close()
        again = ProgressBook()
        again.load(store.read_file(PROGRESS_FILE) or b"")
        assert store.read_file(TOTALS_FILE) is None
    assert late, "the second comes too soon after the first"
    assert not book.changed
    assert [it.done_count for it in again.steps()] == [2]
