"""The hub of a job on a cluster: spoken to with the job's own certificate, through a port."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from atoll_api import names
from atoll_api.hub_order import IdentityFiles
from atoll_cli.cluster.accepted import Papers, read_papers
from atoll_cli.cluster.connection import ask
from atoll_cli.cluster.forwarding import forwarded
from atoll_cli.cluster.kubectl import find_kubectl
from atoll_cli.cluster.place import Place
from atoll_cli.errors import CliError
from atoll_cli.signals import terminable
from atoll_worker.errors import UnavailableError
from atoll_worker.exchange.client import ExchangeClient
from atoll_worker.exchange.connection import Patience
from atoll_worker.exchange.identity import Credentials, load

_PATIENCE: Final = Patience(first_seconds=20.0, later_seconds=20.0)
"""A hub behind an open port is there; one that starts anew has another pod, and this port ends."""


@contextmanager
def artifacts_of(place: Place, name: str) -> Iterator[ExchangeClient]:
    """The artifacts of a job, while its hub is there.

    Raises:
        CliError: there is no such job, or its hub cannot be reached.
    """
    kubectl = find_kubectl(place, "the way to a hub")
    credentials = _credentials(ask(place, lambda api: read_papers(api, place, name)))
    with forwarded(kubectl, names.hub_object(name), names.HUB_PORT) as forward:
        try:
            with ExchangeClient(forward.address, credentials, _PATIENCE) as client:
                yield client
        except UnavailableError as error:
            if why := forward.ended():
                raise CliError(f"{name}: the way to its hub broke: {why}: try again") from error
            raise


def _credentials(papers: Papers) -> Credentials:
    """Checked as any process checks its own, which takes files: for as long as that takes."""
    with terminable(), tempfile.TemporaryDirectory(prefix="atoll-") as folder:
        paths = {}
        for field in ("certificate", "key", "authority"):
            path = Path(folder) / field
            path.touch(mode=0o600)
            path.write_bytes(getattr(papers, field))
            paths[field] = str(path)
        return load(IdentityFiles(**paths), papers.process, datetime.now(UTC))
