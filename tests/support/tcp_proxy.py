"""A TCP proxy between two real ends: it cuts connections, holds bytes back, and counts them."""

import contextlib
import socket
import struct
import threading
import time
from typing import Literal, Self

Direction = Literal["up", "down"]
"""To the server, and from it."""
_RESET = struct.pack("ii", 1, 0)
_BUFFER_BYTES = 64 * 1024


class TcpProxy:
    """Listens on `address`; every connection goes on to `target`, if it is known by then."""

    def __init__(
        self, target: str = "127.0.0.1:9", down_bytes_per_second: float | None = None
    ) -> None:
        self.forward_to(target)
        self._bucket = down_bytes_per_second and _TokenBucket(down_bytes_per_second)
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        self._cut_at: dict[Direction, int] = {}
        self._for_good = False
        self.forwarded: dict[Direction, int] = {"up": 0, "down": 0}
        self.cuts = 0
        self.frozen = threading.Event()  # set: forward nothing any more, and tell nobody
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        self.frozen.clear()
        self._reset_all()

    def forward_to(self, target: str) -> None:
        """Send new connections to HOST:PORT."""
        host, _, port = target.rpartition(":")
        self._target = (host, int(port))

    def cut_after(self, direction: Direction, count_bytes: int, *, for_good: bool = False) -> None:
        """Reset every connection once so many more bytes went this way; perhaps let in no other."""
        with self._lock:
            self._for_good = for_good
            self._cut_at[direction] = self.forwarded[direction] + count_bytes

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                try:
                    server = socket.create_connection(self._target)
                except OSError:
                    client.close()
                    continue
                with self._lock:
                    self._open += [client, server]
                for source, sink, way in ((client, server, "up"), (server, client, "down")):
                    pump = threading.Thread(target=self._pump, args=(source, sink, way))
                    pump.daemon = True
                    pump.start()

    def _pump(self, source: socket.socket, sink: socket.socket, direction: Direction) -> None:
        with contextlib.suppress(OSError):
            while content := source.recv(_BUFFER_BYTES):
                while self.frozen.is_set():
                    time.sleep(0.01)
                if self._bucket and direction == "down":
                    self._bucket.take(len(content))
                if self._is_cut(direction, len(content)):
                    if self._for_good:
                        self._listener.shutdown(socket.SHUT_RDWR)
                        self._listener.close()
                    self._reset_all()
                    return
                sink.sendall(content)
            sink.shutdown(socket.SHUT_WR)

    def _is_cut(self, direction: Direction, count_bytes: int) -> bool:
        with self._lock:
            self.forwarded[direction] += count_bytes
            if self.forwarded[direction] < self._cut_at.get(direction, 1 << 62):
                return False
            del self._cut_at[direction]
            self.cuts += 1
            return True

    def _reset_all(self) -> None:
        with self._lock:
            sockets, self._open = self._open, []
        for it in sockets:
            with contextlib.suppress(OSError):
                it.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                it.shutdown(socket.SHUT_RDWR)
            it.close()


class _TokenBucket:
    """A link that all connections share."""

    def __init__(self, bytes_per_second: float) -> None:
        self._rate = bytes_per_second
        self._lock = threading.Lock()
        self._free_at = time.monotonic()

    def take(self, count_bytes: int) -> None:
        with self._lock:
            self._free_at = max(self._free_at, time.monotonic()) + count_bytes / self._rate
            wait = self._free_at - time.monotonic()
        time.sleep(max(0.0, wait))
