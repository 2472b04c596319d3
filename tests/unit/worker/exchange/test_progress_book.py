"""What the hub keeps of the steps' reports, and what it refuses to keep."""

import math

import pytest

from atoll.progress.v1 import progress_pb2 as pb
from atoll_worker.exchange.manifest import ManifestError
from atoll_worker.exchange.progress import MAX_REPORT_BYTES, MAX_STEPS, ProgressBook

LATER_FIELD = b"\x7a\x03new"


def test_a_report_of_a_later_version_is_kept() -> None:
    book = ProgressBook()
    report = pb.StepProgress.FromString(
        pb.StepProgress(step_name="island-0", done_count=3).SerializeToString() + LATER_FIELD
    )
    book.put(report)
    assert [it.done_count for it in book.steps()] == [3]


@pytest.mark.parametrize(
    ("fields", "limit"),
    [
        ({"step_name": ""}, "1 to 128 bytes"),
        ({"step_name": "n" * 129}, "1 to 128 bytes"),
        ({"message": "m" * 257}, "longer than 256 bytes"),
        ({"loss": math.nan}, "not finite"),
        ({"samples_per_second": math.inf}, "not finite"),
        ({"training_wire": [pb.WireBytes()] * 9}, "more than 8 kinds"),
        ({"training_wire": [pb.WireBytes(peer="p" * MAX_REPORT_BYTES)]}, "longer than 2048 bytes"),
        ({"done_count": -1}, "island-0 reports a number below 0"),
        ({"total_count": -1}, "below 0"),
        ({"training_wire": [pb.WireBytes(), pb.WireBytes(received_bytes=-1)]}, "below 0"),
    ],
)
def test_a_report_that_breaks_a_limit_is_refused(fields: dict[str, object], limit: str) -> None:
    book = ProgressBook()
    with pytest.raises(ManifestError, match=limit):
        book.put(pb.StepProgress(**{"step_name": "island-0", **fields}))  # type: ignore[arg-type]
    assert not book.changed


def test_fields_of_a_later_version_count() -> None:
    whole = pb.StepProgress(step_name="island-0").SerializeToString() + LATER_FIELD * 500
    with pytest.raises(ManifestError, match="longer than 2048 bytes"):
        ProgressBook().put(pb.StepProgress.FromString(whole))


def test_all_reports_fit_into_one_message() -> None:
    assert MAX_STEPS * MAX_REPORT_BYTES <= 8 << 20, "the answer also has what is bound"
