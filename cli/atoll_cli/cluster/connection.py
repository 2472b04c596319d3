"""A conversation with the API server of a place, in which every refusal is one line."""

import asyncio
import json
import os
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TypeVar

from atoll_cli.cluster.place import Place
from atoll_cli.cluster.refusals import explained
from atoll_operator.errors import ApiError
from atoll_operator.kubernetes.api import Api
from atoll_operator.kubernetes.client import ApiServer, ClientOptions, read_configuration

T = TypeVar("T")
_OPTIONS = ClientOptions(user_agent="atoll", max_connections=8)


def ask(place: Place, question: Callable[[Api], Awaitable[T]]) -> T:
    """The answer to a question.

    Raises:
        CliError: the cluster did not answer it.
        NoClusterError: the kubeconfig does not say how to get there.
    """
    return asyncio.run(_answer(place, question))


async def _answer(place: Place, question: Callable[[Api], Awaitable[T]]) -> T:
    async with connected(place) as api:
        return await question(api)


@asynccontextmanager
async def connected(place: Place) -> AsyncIterator[Api]:
    """The API server of a place.

    Raises:
        CliError: it refused what was asked within the block.
        NoClusterError: the kubeconfig does not say how to get there.
    """
    with _kubeconfig(place) as path:
        configuration = await read_configuration(path)
    async with ApiServer(configuration, _OPTIONS) as api:
        try:
            yield api
        except ApiError as error:
            raise explained(error, place) from error


@contextmanager
def _kubeconfig(place: Place) -> Iterator[Path | None]:
    """The files of a place, and one that says which context: of several, the last one counts."""
    if not place.files:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="atoll-") as folder:
        choice = Path(folder) / "context.json"
        choice.write_text(json.dumps({"current-context": place.context}))
        yield Path(os.pathsep.join(map(str, (*place.files, choice))))
