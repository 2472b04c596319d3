"""The one place where a caller is identified and refused; `access` says who may do what.

A handler asks before it touches the store:

    await guard.require(context, Action.READ, request.ref)

and a handler that lists leaves out what `permits` does not let through. Errors are statuses:
UNAUTHENTICATED for a caller who is nobody, PERMISSION_DENIED with a sentence for one who is.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import grpc

from atoll_api.names import Process
from atoll_worker.exchange.access import ALONE, Action, Circle, may
from atoll_worker.exchange.identity import sole_process

Context = grpc.aio.ServicerContext[Any, Any]
_SHOWN_CHARACTERS = 80


@dataclass(frozen=True)
class Guard:
    """Stands in front of the store of one job."""

    job_uid: str
    circle: Circle = ALONE

    async def caller(self, context: Context) -> Process:
        """Who calls; ends the call with UNAUTHENTICATED if that is nobody of this job."""
        # `peer_identities` would mix URIs with DNS names.
        found = [it.decode(errors="replace") for it in context.auth_context().get("peer_uri", ())]
        process = sole_process(found)
        if process is None:
            return await context.abort(
                grpc.StatusCode.UNAUTHENTICATED,
                "the caller's certificate must name one process, "
                f"as atoll://JOB/ROLE/INDEX; it has {len(found)} URIs",
            )
        if process.job_uid != self.job_uid:
            return await context.abort(
                grpc.StatusCode.UNAUTHENTICATED,
                f"{process.step} belongs to job {process.job_uid}, this is of job {self.job_uid}",
            )
        return process

    async def require(self, context: Context, action: Action, *whats: str) -> Process:
        """Who calls; ends the call unless the caller may do this to every ref, or step."""
        caller = await self.caller(context)
        for what in whats:
            if not self.permits(caller, action)(what):
                return await context.abort(
                    grpc.StatusCode.PERMISSION_DENIED,
                    f"{caller.step} may not {action.value} {what[:_SHOWN_CHARACTERS]}",
                )
        return caller

    def permits(self, caller: Process, action: Action) -> Callable[[str], bool]:
        """Whether the caller may do this to a ref, or to a step."""
        return lambda what: may(caller, action, what, self.job_uid, self.circle)
