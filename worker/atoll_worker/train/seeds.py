"""Every seed of a job, as one pure function of what it is for.

Whatever is random in a job is seeded by (the job's seed, what for, which island, which step), so
no generator's state need be kept: resuming at a step is drawing from that step's seed.
"""

import hashlib

_SEED_BITS = 63
"""torch takes a signed 64-bit seed."""


def derive(seed: int, purpose: str, island: int = 0, step: int = 0) -> int:
    """The seed for one purpose: 63 bits of BLAKE2b over the arguments.

    Different arguments give independent seeds; the same ones give the same seed for ever.
    """
    text = f"{seed}/{purpose}/{island}/{step}".encode()
    digest = hashlib.blake2b(text, digest_size=8).digest()
    return int.from_bytes(digest, "little") >> (64 - _SEED_BITS)
