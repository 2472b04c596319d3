"""Bytes that are said to be a message: read, or refused in a sentence; never anything else."""

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any, Final

from damage import WORDS, damaged
from fuzzing import Fuzz
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from raw_calls import METHODS

from atoll.exchange.v1 import exchange_pb2 as pb
from atoll.progress.v1 import progress_pb2 as progress_pb
from atoll_worker.exchange import frames, requests
from atoll_worker.exchange.content import PIECE_BYTES
from atoll_worker.exchange.frames import FrameError
from atoll_worker.exchange.manifest import ManifestError
from atoll_worker.exchange.progress import ProgressBook
from atoll_worker.exchange.reported import ReportedTotals
from atoll_worker.metrics import REPORTED

_KINDS: Final[Sequence[type[Message]]] = sorted(
    {GetMessageClass(it) for m in METHODS.values() for it in (m.input_type, m.output_type)},
    key=lambda it: it.DESCRIPTOR.full_name,
)
_LIKELY: Final[Sequence[type[Message]]] = (
    *_KINDS,
    *[progress_pb.ReportRequest] * 8,
    pb.PublishRequest,
    pb.FetchResponse,
)
_NUMBERS: Final = (0, 1, -1, 7, 127, 128, 1 << 20, (1 << 31) - 1, (1 << 63) - 1, -(1 << 63))
_REALS: Final = (0.0, -0.0, 0.5, 1e308, 1e-320, float("nan"), float("inf"), float("-inf"))
_TEXTS: Final = tuple(it.replace("\ud800", "?") for it in WORDS)
_NAMES: Final = (*REPORTED, "island-0", "evaluate", "atoll_nothing")
_PLAIN: Final[Mapping[str, Sequence[Any]]] = {
    "step_name": ("island-0", "evaluate"),
    "message": ("", "at work"),
    "done_count": (0, 7, 1 << 40),
    "total_count": (0, 7, 1 << 40),
    "loss": (0.5, 1e308),
    "samples_per_second": (0.0, 1e-320),
    "sent_bytes": (0, 1 << 40),
    "received_bytes": (0, 1 << 40),
    "attempt": ("a", "b"),
    "name": (*REPORTED, "atoll_nothing"),
    "label_values": ("hub", "train", "island"),
    "Sample.value": (0.0, 1.5, 2.0**99),
}
"""Of fields that are checked, mostly what passes: what is wrong in one place goes furthest."""
_TAGS: Final = tuple(
    bytes([number << 3 | kind]) for number in (0, 1, 2, 3, 15) for kind in range(8)
)
_MOST_CHARACTERS: Final = 1000


def drawn(random: Random, kind: Descriptor) -> Any:
    """A message with anything in some of its fields."""
    values: dict[str, Any] = {}
    for field in kind.fields:
        if random.random() < 0.7:
            count = random.choice((0, 1, 2, 2, 100)) if field.is_repeated else 1
            found = [_value(random, field) for _ in range(count)]
            values[field.name] = found if field.is_repeated else found[0]
    return GetMessageClass(kind)(**values)


def _value(random: Random, field: FieldDescriptor) -> Any:
    if field.message_type is not None:
        return drawn(random, field.message_type)
    owner = field.containing_type
    plain = _PLAIN.get(f"{owner.name if owner else ''}.{field.name}") or _PLAIN.get(field.name)
    return random.choice(plain) if plain and random.random() < 0.8 else _any(random, field)


def _any(random: Random, field: FieldDescriptor) -> Any:
    if field.type == FieldDescriptor.TYPE_BYTES:
        return random.randbytes(random.choice((0, 1, 20, 3000)))
    return {
        FieldDescriptor.CPPTYPE_DOUBLE: random.choice((*_REALS, random.random())),
        FieldDescriptor.CPPTYPE_BOOL: random.random() < 0.5,
        FieldDescriptor.CPPTYPE_STRING: random.choice((*_NAMES, *_TEXTS)),
        FieldDescriptor.CPPTYPE_INT64: random.choice((*_NUMBERS, random.randint(0, 1 << 40))),
    }[field.cpp_type]


def content_of(random: Random, kind: Any) -> bytes:
    """Bytes: a message, one that was damaged, or fields as no encoder writes them."""
    way = random.randrange(8)
    if way == 0:
        return random.randbytes(random.choice((0, 1, 5, 40, 400)))
    if way == 1:
        parts = (random.choice((random.choice(_TAGS), random.randbytes(3))) for _ in range(9))
        return b"".join(parts)
    content: bytes = drawn(random, kind).SerializeToString()
    return content if way < 5 else damaged(random, content)


def case(random: Random) -> str:
    kind = random.choice(_LIKELY)
    content = content_of(random, kind.DESCRIPTOR)
    agree(kind, content)
    read = requests.read(kind, content)
    if not isinstance(read, Message):
        assert 0 < len(read.sentence) < _MOST_CHARACTERS
        return "no message"
    return report(read) if isinstance(read, progress_pb.ReportRequest) else "read"


def agree(kind: type[Message], content: bytes) -> None:
    """What reads the bulk messages by hand reads them as the generated code does, or refuses."""
    if kind is pb.PublishRequest:
        try:
            session, position, piece = frames.decode_publish(content)
        except FrameError:
            return
        said: Any = _parsed(pb.PublishRequest, content)
        if said is not None:
            assert (session, position, piece) == (
                said.session_id,
                said.position_bytes,
                said.content,
            )
    elif kind is pb.FetchResponse:
        try:
            position, piece = frames.decode_fetch(content)
        except FrameError:
            return
        said = _parsed(pb.FetchResponse, content)
        if said is not None:
            assert (position, piece) == (said.position_bytes, said.content)
        assert len(piece) <= PIECE_BYTES


def _parsed(kind: type[Message], content: bytes) -> Message | None:
    try:
        return kind.FromString(content)
    except DecodeError:
        return None


def report(request: progress_pb.ReportRequest) -> str:
    """What a hub does with a report, and what it writes down of it."""
    book = ProgressBook(lambda: 1.0)
    try:
        book.take(request)
    except ManifestError as error:
        assert 0 < len(str(error)) < _MOST_CHARACTERS
        return "report refused"
    again = ProgressBook(lambda: 1.0)
    again.load(book.dump())
    again.totals.load(book.totals.dump())
    assert again.dump() == book.dump()
    assert again.totals.dump() == book.totals.dump()
    assert list(ReportedTotals(again.totals).collect())
    return "report kept"


def test_messages(fuzz: Fuzz) -> None:
    fuzz.run("messages", case, {"no message", "read", "report refused", "report kept"})
