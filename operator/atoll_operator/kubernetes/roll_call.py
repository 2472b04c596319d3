"""Forget the jobs whose deletion nobody told.

A watch that begins anew, because the server no longer knows where it was, lists what is there; of what
went away meanwhile kopf says nothing. So what is known is compared with a list now and then.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from atoll_operator.errors import ApiError
from atoll_operator.kubernetes.api import Api, Selection
from atoll_operator.kubernetes.controller import Controller
from atoll_operator.kubernetes.resources import TRAINING_JOBS

SECONDS: Final = 600.0
"""Between two lists: a thousand jobs are 10 MB of JSON."""
_PAGE: Final = 100
"""Jobs in one answer: more would keep the event loop from renewing the lease."""

_log = logging.getLogger(__name__)


async def go_on(
    api: Api,
    namespaces: tuple[str, ...],
    controller: Controller,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Call the roll for ever. One that gets no answer is left out: the next will do."""
    while True:
        await sleep(SECONDS)
        try:
            await call(api, namespaces, controller)
        except ApiError as error:
            _log.info("could not see which jobs are there: %s", error)


async def call(api: Api, namespaces: tuple[str, ...], controller: Controller) -> None:
    """Forget who does not answer; those that come while it is called are not meant.

    Raises:
        ApiError: the list is not to be had; nothing is forgotten.
    """
    known = controller.uids()
    there = {uid for place in namespaces or ("",) for uid in await _uids(api, place)}
    for key, uid in known.items():
        if uid not in there:
            _log.warning("%s is gone, and nobody said so", key)
            controller.gone(key, uid)


async def _uids(api: Api, namespace: str) -> list[str]:
    selection, token, found = Selection(TRAINING_JOBS, namespace), "", list[str]()
    while True:
        page = await api.list_page(selection, limit=_PAGE, continue_token=token)
        found += (it["metadata"]["uid"] for it in page.items)
        token = page.continue_token
        if not token:
            return found
