"""TrainingJobs shown to a real API server that keeps none of them: what it would refuse, and why."""

import asyncio
import http.client
import json
import ssl
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from kube_api_server import shared_server
from kube_worlds import world

from atoll_operator.kubernetes.api import Key, Resource
from atoll_operator.kubernetes.resources import TRAINING_JOBS

_STRICT: Final = "dryRun=All&fieldValidation=Strict"


@dataclass(frozen=True)
class Cause:
    """One thing that the server does not like."""

    field: str
    message: str


@dataclass(frozen=True)
class DryRuns:
    """A connection to an API server of this process, and a namespace there."""

    namespace: str
    connection: http.client.HTTPSConnection
    headers: Mapping[str, str]

    def create(
        self, body: Mapping[str, Any], resource: Resource = TRAINING_JOBS
    ) -> tuple[Cause, ...]:
        """What is wrong with a new object; empty for nothing."""
        return self._causes("POST", f"{resource.path(self.namespace)}?{_STRICT}", body)

    def change(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[Cause, ...]:
        """What is wrong with a job that becomes another one; the first has to be right."""
        url = TRAINING_JOBS.path(self.namespace)
        key = Key(self.namespace, before["metadata"]["name"])
        status, made = self._ask("POST", url, before)
        assert status == http.client.CREATED, made
        try:
            version = made["metadata"]["resourceVersion"]
            metadata = {**after["metadata"], "resourceVersion": version}
            url = f"{TRAINING_JOBS.path(*key)}?{_STRICT}"
            return self._causes("PUT", url, {**after, "metadata": metadata})
        finally:
            self._ask("DELETE", TRAINING_JOBS.path(*key), {})

    def _causes(self, method: str, url: str, body: Mapping[str, Any]) -> tuple[Cause, ...]:
        status, answer = self._ask(method, url, body)
        if status < http.client.BAD_REQUEST:
            return ()
        causes = (answer.get("details") or {}).get("causes") or ()
        found = tuple(Cause(it.get("field", ""), it["message"]) for it in causes)
        return found or (Cause("", answer["message"]),)

    def _ask(self, method: str, url: str, body: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
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
