"""Jobs shown to a real API server: it never fails, and takes what the types take and nothing else."""

import http.client
import json
from collections.abc import Mapping
from random import Random
from typing import Any, Final

from drawn_jobs import drawn_job
from dry_runs import DryRuns, dry_runs
from fuzzing import Fuzz
from pydantic import ValidationError

from atoll_api.problems import InvalidJobError, parse_job
from atoll_api.spec import TrainingJob
from atoll_operator.kubernetes.resources import TRAINING_JOBS

QUERY: Final = "dryRun=All&fieldValidation=Strict"
LENIENT: Final[Mapping[str, tuple[str, ...]]] = {
    # A definition has four templates and may not be larger than etcd takes: their names have no
    # pattern there (`spec/template.py`), and the operator says what is wrong.
    "template": ("string_pattern_mismatch", "value_error"),
    # Where a text has a `format`, the API server lets a list by: it looks at the form of texts alone.
    "cidr": ("string_type",),
}
"""What the server takes and the types refuse: a part of the path, and kinds of problems; why."""


def asked(server: DryRuns, body: bytes) -> tuple[int, Any]:
    url = f"{TRAINING_JOBS.path(server.namespace)}?{QUERY}"
    server.connection.request("POST", url, body, dict(server.headers))
    answer = server.connection.getresponse()
    return answer.status, json.loads(answer.read())


def types_refuse(document: Any) -> list[str]:
    """What only they see, and have no reason to: kinds of problems and where they are."""
    try:
        TrainingJob.from_document(document)
    except ValidationError as error:
        return [
            f"{it['type']} at {'.'.join(f'{part:.40}' for part in map(str, it['loc']))}"
            for it in error.errors()
            if not any(part in it["loc"] and it["type"] in kinds for part, kinds in LENIENT.items())
        ]
    return []


def is_job(document: Any) -> bool:
    try:
        parse_job(document)
    except InvalidJobError:
        return False
    return True


def test_specs_on_api_server(fuzz: Fuzz) -> None:
    with dry_runs() as server:

        def case(random: Random) -> str:
            document = drawn_job(random)
            if isinstance(document, dict) and isinstance(document.get("metadata"), dict):
                document["metadata"].pop("namespace", None)  # it is the server's to compare
            try:
                body = json.dumps(document, ensure_ascii=False).encode(errors="replace")
                document = json.loads(body)  # as it travels: no half of a pair of surrogates
            except (ValueError, RecursionError):
                body = b"[" * 20_000
                document = None
            status, answer = asked(server, body)
            assert status < http.client.INTERNAL_SERVER_ERROR, answer
            if status != http.client.CREATED:
                assert not is_job(document), answer["message"]
                return "refused by both"
            problems = types_refuse(document)
            assert not problems, problems
            if not is_job(document):
                return "refused by rules across fields alone"
            read = TrainingJob.from_document({**document, "spec": answer["spec"]})
            assert read == TrainingJob.from_document(document)
            return "accepted by both"

        fuzz.run("specs on a server", case, {"refused by both", "accepted by both"})
