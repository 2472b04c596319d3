"""kopf's part: it watches TrainingJobs, and every event of one becomes a look at its key.

No state of kopf's: no annotations, no finalizers, no events of its own, no peering. Its handlers
decide nothing.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, Final, cast

import kopf

from atoll_api import names
from atoll_operator.kubernetes.controller import Controller
from atoll_operator.kubernetes.training_jobs import view_of
from atoll_operator.kubernetes.work_queue import WorkQueue

_SILENCE_SECONDS: Final = 90
"""Without a byte from the server a watch is made anew: bookmarks come every minute."""


def registry(controller: Controller, queue: WorkQueue[Any]) -> kopf.OperatorRegistry:
    """The handlers of one operator."""
    handlers = kopf.OperatorRegistry()

    @kopf.on.login(registry=handlers)
    def login(**kwargs: Any) -> kopf.ConnectionInfo | None:
        return kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)

    @kopf.on.event(names.GROUP, names.VERSION, names.PLURAL, registry=handlers)
    async def changed(type: str | None, body: Mapping[str, Any], **_: Any) -> None:  # noqa: A002
        view = view_of(dict(body))
        if type == "DELETED":
            controller.gone(view.key, view.uid)
        else:
            controller.saw(view)
        # Somebody waits for a new job to begin; those that are under way do well without a look.
        queue.add(view.key, urgent=view.status is None)

    return handlers


async def watch_jobs(
    handlers: kopf.OperatorRegistry, pod: str, namespaces: tuple[str, ...], stop: asyncio.Event
) -> None:
    """Run kopf until told to stop; `pod` is who it says it is, for it has no name of a user."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.peering.standalone = True
    settings.watching.inactivity_timeout = _SILENCE_SECONDS
    await kopf.operator(
        registry=handlers,
        settings=settings,
        identity=cast(Any, pod),
        standalone=True,
        clusterwide=not namespaces,
        namespaces=namespaces,
        stop_flag=stop,
    )
