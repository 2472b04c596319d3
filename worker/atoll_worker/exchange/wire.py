"""Bytes on the wire, as the kernel counted them on the TCP sockets of this process.

Not what the program believes to have sent: every open socket of the process is asked, whoever
opened it. The counters are those of `struct tcp_info` (linux/tcp.h): payload only, without
headers; what was sent counts once it was acknowledged or is on its way. What goes to a collector of
traces does not count: the user asked for it, and it is nobody's weights.
"""

import os
import socket
import struct
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from atoll_telemetry import tracing
from atoll_worker.ports import WireBytes

_TCP_INFO_BYTES = 256
_BYTES_RECEIVED = 128
_BYTES_SENT = 200
_U64 = struct.Struct("<Q" if sys.byteorder == "little" else ">Q")
_PEERS = ("hub", "island", "other")


@dataclass(frozen=True)
class _Count:
    peer: str
    sent_bytes: int
    received_bytes: int


_Counts = Mapping[str, _Count]
"""By the socket's inode, which the kernel gives to no other socket while it is open."""


class WireMeter:
    """Bytes since `start`, by kind of peer. Never raises; says nothing where nothing counts.

    A socket that was opened and closed between two calls of `read` is not seen: call it now and
    then. Sockets that were seen and are gone keep their last count.
    """

    def __init__(
        self,
        hub: str,
        islands: frozenset[str] = frozenset(),
        unknown: str = "other",
        own_port: int = 0,
    ) -> None:
        """Name the peers.

        Args:
            hub: HOST:PORT of the hub.
            islands: HOST:PORT of the other islands.
            unknown: What everybody else is: `island` where islands dial each other.
            own_port: Where this process is scraped: who looks at it is no peer.
        """
        self._unknown = unknown
        self._hub = hub
        self._own_port = own_port
        self._kinds = dict.fromkeys(_resolved(islands), "island") | dict.fromkeys(
            _resolved({hub}), "hub"
        )
        self._collector = _resolved({tracing.collector()})
        self._before: _Counts = {}
        self._gone: list[_Count] = []
        self._last: _Counts = {}

    def start(self) -> None:
        """Count from now on."""
        self._before = self._last = self._now()
        self._gone = []

    def read(self) -> tuple[WireBytes, ...]:
        """Bytes since `start` for hub, island and other; () where the kernel does not count."""
        if not _supported():
            return ()
        now = self._now()
        self._gone += [
            self._since_start(inode, count)
            for inode, count in self._last.items()
            if inode not in now
        ]
        self._last = now
        counts = [*self._gone, *(self._since_start(inode, count) for inode, count in now.items())]
        return tuple(_total(peer, counts) for peer in _PEERS)

    def _since_start(self, inode: str, count: _Count) -> _Count:
        before = self._before.get(inode)
        if before is None:
            return count
        return _Count(
            count.peer,
            count.sent_bytes - before.sent_bytes,
            count.received_bytes - before.received_bytes,
        )

    def _now(self) -> _Counts:
        counts = {}
        for descriptor, inode in _open_sockets():
            count = self._count(descriptor)
            if count is not None:
                counts[inode] = count
        return counts

    def _count(self, descriptor: int) -> _Count | None:
        try:
            copy = socket.socket(fileno=os.dup(descriptor))
        except OSError:
            return None  # closed since it was listed
        with copy:
            try:
                if self._own_port and _plain(copy.getsockname())[1] == self._own_port:
                    return None
                remote = copy.getpeername()
                info = copy.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
            except OSError:
                return None  # not TCP, or not connected: nothing flows
        if len(info) < _BYTES_SENT + _U64.size or _plain(remote) in self._collector:
            return None
        (sent,) = _U64.unpack_from(info, _BYTES_SENT)
        (received,) = _U64.unpack_from(info, _BYTES_RECEIVED)
        return _Count(self._kind(_plain(remote)), sent, received)

    def _kind(self, remote: tuple[str, int]) -> str:
        """Asks anew where the hub is when it may have moved: another pod has another address."""
        if remote not in self._kinds and self._hub.endswith(f":{remote[1]}"):
            self._kinds |= dict.fromkeys(_resolved({self._hub}), "hub")
        return self._kinds.get(remote, self._unknown)


def _supported() -> bool:
    return sys.platform == "linux"


def _total(peer: str, counts: list[_Count]) -> WireBytes:
    own = [count for count in counts if count.peer == peer]
    return WireBytes(peer, sum(it.sent_bytes for it in own), sum(it.received_bytes for it in own))


def _open_sockets() -> list[tuple[int, str]]:
    """(descriptor, inode) of the sockets of this process, each socket once."""
    found: dict[str, int] = {}
    try:
        entries = list(Path("/proc/self/fd").iterdir())
    except OSError:
        return []
    for entry in entries:
        try:
            target = str(entry.readlink())
        except OSError:
            continue  # the listing's own descriptor, or one closed since
        if target.startswith("socket:"):
            found[target] = int(entry.name)
    return [(descriptor, inode) for inode, descriptor in found.items()]


def _resolved(addresses: frozenset[str] | set[str]) -> set[tuple[str, int]]:
    """The IP addresses and ports behind HOST:PORT names; a name nobody knows has none."""
    found: set[tuple[str, int]] = set()
    for address in addresses:
        host, _, port = address.rpartition(":")
        try:
            entries = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
        except (OSError, ValueError):
            continue
        found.update(_plain(entry[4]) for entry in entries)
    return found


def _plain(address: object) -> tuple[str, int]:
    """(IP, port): gRPC dials IPv4 through IPv6 sockets, whose addresses carry a prefix."""
    match address:
        case (str(host), int(port), *_):
            return host.removeprefix("::ffff:"), port
        case _:
            return "", 0
