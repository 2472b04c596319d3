"""The structure of transformers, in the pieces that they share.

Heads are units of their own, and so are the hidden units of each MLP. The residual stream is one
group for the whole network, but only where nothing fixed is added to it: see the DiT.
"""

from collections.abc import Iterator

from atoll_worker.tasks.structure import Layer, Units


def attention(qkv: str, project: str, heads: Units, stream: Units | None) -> Iterator[Layer]:
    """Heads between one layer that writes queries, keys and values, and one that projects.

    Args:
        qkv: of shape (3 x width, width): all queries, all keys, all values.
        project: of shape (width, width).
        heads: as many units as heads, each as wide as a head.
        stream: what is read and written; None where its order is fixed.
    """
    yield Layer(qkv, reads=stream, writes=heads.copied(3))
    yield Layer(project, reads=heads, writes=stream)


def feed_forward(enter: str, leave: str, hidden: Units, stream: Units | None) -> Iterator[Layer]:
    """Two linear layers with an activation between them; `stream` as in `attention`."""
    yield Layer(enter, reads=stream, writes=hidden)
    yield Layer(leave, reads=hidden, writes=stream)
