"""TrainingJobs shown to a real API server that keeps none of them: what it would refuse, and why."""

import asyncio
import http.client
import json
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from kube_api_server import shared_server
from kube_worlds import world

from atoll_operator.kubernetes.api import Key, Resource
from atoll_operator.kubernetes.resources import TRAINING_JOBS

Document = Mapping[str, Any]
_STRICT: Final = "dryRun=All&fieldValidation=Strict"


@dataclass(frozen=True)
class Cause:
    """One thing that the server does not like."""

    field: str
    message: str


class RefusedError(Exception):
    """What the server does not take, and why."""

    def __init__(self, causes: Sequence[Cause]) -> None:
        self.causes = tuple(causes)
        super().__init__("; ".join(f"{it.field}: {it.message}" for it in causes))


@dataclass(frozen=True)
class DryRuns:
    """A connection to an API server of this process, and a namespace there."""

    namespace: str
    connection: http.client.HTTPSConnection
    headers: Mapping[str, str]

    def create(self, body: Document, resource: Resource = TRAINING_JOBS) -> Document:
        """The object as it would be kept.

        Raises:
            RefusedError: with all that is wrong with it.
        """
        return self._asked("POST", f"{resource.path(self.namespace)}?{_STRICT}", body)

    def change(self, before: Document, after: Document) -> Document:
        """A job that becomes another one, as it would be kept; the first has to be right.

        Raises:
            RefusedError: with all that is wrong with the change.
        """
        url = TRAINING_JOBS.path(self.namespace)
        key = Key(self.namespace, before["metadata"]["name"])
        status, made = self._ask("POST", url, before)
        assert status == http.client.CREATED, made
        try:
            version = made["metadata"]["resourceVersion"]
            metadata = {**after["metadata"], "resourceVersion": version}
            url = f"{TRAINING_JOBS.path(*key)}?{_STRICT}"
            return self._asked("PUT", url, {**after, "metadata": metadata})
        finally:
            self._ask("DELETE", TRAINING_JOBS.path(*key), {})

    def _asked(self, method: str, url: str, body: Document) -> Document:
        status, answer = self._ask(method, url, body)
        if status < http.client.BAD_REQUEST:
            return answer
        causes = (answer.get("details") or {}).get("causes") or ({"message": answer["message"]},)
        raise RefusedError([Cause(it.get("field", ""), it["message"]) for it in causes])

    def _ask(self, method: str, url: str, body: Document) -> tuple[int, dict[str, Any]]:
        self.connection.request(method, url, json.dumps(body), dict(self.headers))
        answer = self.connection.getresponse()
        return answer.status, json.loads(answer.read())


@contextmanager
def dry_runs() -> Iterator[DryRuns]:
    """The API server of this process, with the definition that the types give; else skips."""
    kubeconfig = shared_server().kubeconfig
    said = json.loads(kubeconfig.read_text())
    cluster, user = said["clusters"][0]["cluster"], said["users"][0]["user"]
    context = ssl.create_default_context(cafile=cluster["certificate-authority"])
    host = urlsplit(cluster["server"]).netloc
    headers = {"Authorization": f"Bearer {user['token']}", "Content-Type": "application/json"}
    with asyncio.Runner() as runner:
        entered = world("real", kubeconfig)
        place = runner.run(entered.__aenter__())
        with closing(http.client.HTTPSConnection(host, context=context)) as connection:
            yield DryRuns(place.namespace, connection, headers)
        runner.run(entered.__aexit__(None, None, None))
