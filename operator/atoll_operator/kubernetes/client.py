"""The API server behind `api.Api`: requests of the `kubernetes` package, without its models.

Measured against a real API server on two cores, 600 Jobs by 16 at once, twice, CPU of this
process: the package's asynchronous connection with JSON 1,190 to 1,260 creates a second for
0.24 ms each, as bare aiohttp (0.23); the same reading proxies and .netrc from the environment
at each request, its default, 820 to 910 for 0.54; its generic `call_api` 830 to 880 for 0.60;
its models 610 to 690 for 0.93; the synchronous connection in 16 threads 960 to 1,050 for 0.49.
So: its configuration and its connection, and JSON as it comes. A proxy is taken from the
kubeconfig (`proxy-url`) alone.

Holds no state but the connections, and retries nothing; aiohttp repeats what is idempotent,
once, when it finds a connection closed that it wanted to use again.
"""

import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, Self
from urllib.parse import quote

import aiohttp
from kubernetes.aio import config
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.client.rest import RESTClientObject

from atoll_operator.errors import ApiError, NoClusterError, UnavailableError
from atoll_operator.kubernetes.api import (
    FIELD_MANAGER,
    Json,
    Key,
    OnRequest,
    Page,
    Propagation,
    Request,
    Resource,
    Selection,
    WatchEvent,
    WatchLimits,
    key_of,
)
from atoll_operator.kubernetes.refusals import refusal
from atoll_operator.kubernetes.watch_lines import Lines, parsed, watch_event

_JSON: Final = "application/json"
_MERGE_PATCH: Final = "application/merge-patch+json"
_APPLY_PATCH: Final = "application/apply-patch+yaml"
_IN_POD: Final = "KUBERNETES_SERVICE_HOST"


@dataclass(frozen=True)
class ClientOptions:
    """How to speak to the API server."""

    timeout_seconds: float = 10.0
    """For a whole request; a watch has `WatchLimits`."""
    connect_seconds: float = 5.0
    max_connections: int = 64
    """At once, watches included."""
    user_agent: str = FIELD_MANAGER
    """Who this is: in the server's audit log, and as the manager of the fields that it sets."""


class ApiServer:
    """Implements `api.Api`. Open it with `async with`."""

    def __init__(
        self,
        configuration: Configuration,
        options: ClientOptions = ClientOptions(),
        on_request: OnRequest = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        configuration.connection_pool_maxsize = options.max_connections
        configuration.client_session_kwargs = {"trust_env": False}
        self._configuration = configuration
        self._options = options
        self._by_us = f"fieldManager={quote(options.user_agent)}"
        self._on_request = on_request
        self._clock = clock
        self._connection: _Connection = RESTClientObject(configuration)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._connection.close()

    async def create(self, resource: Resource, body: Json) -> Json:
        """POST to the namespace of the body."""
        path = resource.path(key_of(body).namespace)
        return await self._ask(_Call("create", resource, "POST", f"{path}?{self._by_us}", body))

    async def get(self, resource: Resource, key: Key) -> Json:
        """GET one object."""
        return await self._ask(_Call("get", resource, "GET", resource.path(*key)))

    async def list_page(
        self, selection: Selection, *, limit: int = 0, continue_token: str = ""
    ) -> Page:
        """GET many."""
        resource = selection.resource
        more = {"limit": str(limit or ""), "continue": continue_token}
        url = f"{resource.path(selection.namespace)}?{selection.query(**more)}"
        found = await self._ask(_Call("list", resource, "GET", url))
        metadata = found["metadata"]
        return Page(
            found.get("items") or [], metadata["resourceVersion"], metadata.get("continue", "")
        )

    async def watch(
        self, selection: Selection, resource_version: str, limits: WatchLimits
    ) -> AsyncGenerator[WatchEvent, None]:
        """GET a stream of lines; a silent one is broken off."""
        more = {
            "watch": "true",
            "resourceVersion": resource_version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(limits.server_seconds),
        }
        resource = selection.resource
        url = f"{resource.path(selection.namespace)}?{selection.query(**more)}"
        call = _Call("watch", resource, "GET", url, silence_seconds=limits.silence_seconds)
        lines = Lines()
        async with self._answer(call) as answer:
            async for piece in answer.content.iter_any():
                for line in lines.feed(piece):
                    yield watch_event(line)

    async def merge_patch(
        self, resource: Resource, key: Key, patch: Json, *, subresource: str = ""
    ) -> Json:
        """PATCH by merging."""
        url = f"{resource.path(*key, subresource)}?{self._by_us}"
        return await self._ask(
            _Call("patch", resource, "PATCH", url, patch, _MERGE_PATCH, subresource)
        )

    async def replace(self, resource: Resource, body: Json, *, subresource: str = "") -> Json:
        """PUT."""
        url = f"{resource.path(*key_of(body), subresource)}?{self._by_us}"
        return await self._ask(_Call("update", resource, "PUT", url, body, _JSON, subresource))

    async def apply(self, resource: Resource, body: Json) -> Json:
        """PATCH by server-side apply."""
        url = f"{resource.path(*key_of(body))}?{self._by_us}&force=true"
        return await self._ask(_Call("apply", resource, "PATCH", url, body, _APPLY_PATCH))

    async def delete(
        self,
        resource: Resource,
        key: Key,
        *,
        propagation: Propagation = Propagation.BACKGROUND,
        uid: str = "",
    ) -> None:
        """DELETE."""
        body: Json = {"propagationPolicy": str(propagation)}
        if uid:
            body["preconditions"] = {"uid": uid}
        await self._ask(_Call("delete", resource, "DELETE", resource.path(*key), body))

    async def _ask(self, call: "_Call") -> Json:
        async with self._answer(call) as answer:
            return parsed(await answer.read())

    @asynccontextmanager
    async def _answer(self, call: "_Call") -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer to a call if it is not a refusal. Leaves the connection clean."""
        with _silence_is_an_error(call):
            answer = await self._begin(call)
            transport = answer.connection and answer.connection.transport
            try:
                if answer.status >= 400:
                    retry_after = answer.headers.get("Retry-After", "")
                    raise refusal(answer.status, await answer.read(), retry_after)
                yield answer
            finally:
                if transport is not None and not answer.content.at_eof():
                    transport.abort()  # TLS would wait for a peer that may be silent
                answer.close()

    async def _begin(self, call: "_Call") -> aiohttp.ClientResponse:
        began, code = self._clock(), 0
        try:
            answer = await self._connection.request(
                call.method,
                f"{self._configuration.host}{call.url}",
                headers=await self._headers(call),
                body=call.body,
                _request_timeout=self._timeout(call),
            )
            code = answer.response.status
        finally:
            self._on_request(Request(call.verb, call.resource, code, self._clock() - began))
        return answer.response

    def _timeout(self, call: "_Call") -> aiohttp.ClientTimeout:
        connect = self._options.connect_seconds
        if call.silence_seconds is not None:
            return aiohttp.ClientTimeout(sock_connect=connect, sock_read=call.silence_seconds)
        return aiohttp.ClientTimeout(total=self._options.timeout_seconds, sock_connect=connect)

    async def _headers(self, call: "_Call") -> dict[str, str]:
        token = await self._configuration.get_api_key_with_prefix(
            "BearerToken", alias="authorization"
        )
        authorization = {"Authorization": token} if token else {}
        agent = self._options.user_agent
        return {"Content-Type": call.content_type, "User-Agent": agent, **authorization}


async def read_configuration(kubeconfig: Path | None = None) -> Configuration:
    """Which cluster, and as whom: of a file, of KUBECONFIG, of this pod, or of the home folder.

    The token of a pod is read again as it is renewed; that of a file is read once.

    Raises:
        NoClusterError: none of them says so.
    """
    found = Configuration()
    try:
        if kubeconfig is None and "KUBECONFIG" not in os.environ and _IN_POD in os.environ:
            config.load_incluster_config(found)  # type: ignore[no-untyped-call]
        else:
            file = kubeconfig and str(kubeconfig)
            await config.load_kube_config(  # type: ignore[no-untyped-call]
                file, client_configuration=found, persist_config=False
            )
    except (config.ConfigException, OSError) as error:
        raise NoClusterError(f"no cluster to speak to: {error}") from error
    return found


@dataclass(frozen=True)
class _Call:
    """One request."""

    verb: str
    kind: Resource
    method: str
    url: str
    body: Json | None = None
    content_type: str = _JSON
    subresource: str = ""
    silence_seconds: float | None = None
    """Of a stream; None: an answer that ends."""

    @property
    def resource(self) -> str:
        return "/".join(filter(None, (self.kind.plural, self.subresource)))


class _Begun(Protocol):
    """Wraps an answer whose body is still to come."""

    response: aiohttp.ClientResponse


class _Connection(Protocol):
    """What is used of the package's connection, with types."""

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: dict[str, str],
        body: Json | None,
        _request_timeout: aiohttp.ClientTimeout,
    ) -> _Begun: ...

    async def close(self) -> None: ...


@contextmanager
def _silence_is_an_error(call: _Call) -> Iterator[None]:
    try:
        yield
    except ApiError:
        raise
    except TimeoutError as error:
        raise UnavailableError(f"{call.verb} {call.resource}: no answer in time") from error
    except (aiohttp.ClientError, config.ConfigException, OSError) as error:
        said = str(error) or type(error).__name__
        raise UnavailableError(f"{call.verb} {call.resource}: {said}") from error
