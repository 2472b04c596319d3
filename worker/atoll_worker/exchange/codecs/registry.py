"""Every codec by its name: as a job spells it, and as a manifest does."""

from collections.abc import Mapping
from typing import Final

from atoll_api.spec.exchange import Encoding
from atoll_worker.exchange.codecs import int8, narrow, raw
from atoll_worker.exchange.codecs.base import Codec

CODECS: Final[Mapping[Encoding, Codec]] = {
    "Raw": raw.CODEC,
    "BFloat16": narrow.BFLOAT16,
    "Float16": narrow.FLOAT16,
    "Int8": int8.CODEC,
}
ENCODINGS: Final[Mapping[str, Encoding]] = {codec.name: name for name, codec in CODECS.items()}
"""The job's name of each encoding, by the manifest's."""
