"""Whether a peer and this process accept each other: gRPC words a refusal as it words a peer that is away.

A server that refuses a certificate closes the connection after the handshake, without a word; one that
is frozen, overrun or killed closes it before, or not at all. So the handshake is made once more, plainly.
"""

import socket
import ssl
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from atoll_api.names import Process
from atoll_worker.exchange.identity import Credentials

SECONDS: Final = 5.0
"""For each answer of a peer."""
_TIMES: Final = 2
"""A peer may be killed right after a handshake, but is not there for the next."""


def is_refused(address: str, credentials: Credentials, server: Process) -> bool:
    """Whether one of the two does not accept the other's certificate; not, if nobody can tell.

    Args:
        address: HOST:PORT.
        credentials: What this process proves itself with.
        server: Who has to answer there.
    """
    context = _context(credentials)
    return all(_refuses_once(address, context, server.host) for _ in range(_TIMES))


def _refuses_once(address: str, context: ssl.SSLContext, name: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        plain = socket.create_connection((host.strip("[]"), int(port)), SECONDS)
    except OSError:
        return False
    with plain:
        try:
            secure = context.wrap_socket(plain, server_hostname=name)
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError):
            return False
        except ssl.SSLError:
            return True
        except OSError:
            return False
        with secure:
            return _closes_without_a_word(secure)


def _closes_without_a_word(secure: ssl.SSLSocket) -> bool:
    """A server of gRPC that accepts its client speaks first."""
    try:
        return not secure.recv(1)
    except TimeoutError:
        return False
    except OSError:
        return True


def _context(credentials: Credentials) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_alpn_protocols(["h2"])
    context.load_verify_locations(cadata=credentials.authority.decode())
    with TemporaryDirectory(prefix="atoll-") as folder:  # `ssl` takes a key from a file alone
        key, certificate = Path(folder) / "key", Path(folder) / "certificate"
        key.write_bytes(credentials.key)
        certificate.write_bytes(credentials.certificate)
        context.load_cert_chain(certificate, key, password="")
    return context
