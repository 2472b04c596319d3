"""The golden objects before a real API server, which says what it would refuse: KUBECONFIG."""

import json
import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

GOLDEN = Path(__file__).parents[1] / "golden"
RESTRICTED = "pod-security.kubernetes.io/enforce=restricted"

pytestmark = pytest.mark.skipif(
    not (os.environ.get("KUBECONFIG") and shutil.which("kubectl")),
    reason="needs KUBECONFIG, of a cluster or of an API server alone, and kubectl",
)


def kubectl(*arguments: str, document: object = None) -> str:
    text = None if document is None else json.dumps(document)
    done = subprocess.run(
        ["kubectl", *arguments], input=text, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def namespace() -> Iterator[str]:
    name = f"atoll-golden-{uuid.uuid4().hex[:8]}"  # an API server alone never ends a namespace
    kubectl("create", "namespace", name)
    kubectl("label", "namespace", name, RESTRICTED)
    yield name
    kubectl("delete", "namespace", name, "--wait=false")


def without_what_a_cluster_has(document: dict[str, Any], namespace: str) -> dict[str, Any]:
    document["metadata"]["namespace"] = namespace
    template = document["spec"].get("template") if "spec" in document else None
    if template:
        template["spec"].pop("priorityClassName", None)
    return document


def pods(documents: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """As a controller would make them: only pods themselves meet the admission of `restricted`."""
    for it in documents:
        if it["kind"] in ("Job", "StatefulSet"):
            metadata = {
                "name": it["metadata"]["name"],
                "namespace": it["metadata"]["namespace"],
                "labels": it["spec"]["template"]["metadata"]["labels"],
            }
            spec = it["spec"]["template"]["spec"]
            yield {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("objects_*.yaml")), ids=lambda it: it.stem)
def test_an_api_server_takes_every_object_and_every_pod(path: Path, namespace: str) -> None:
    read = yaml.safe_load_all(path.read_text())
    documents = [without_what_a_cluster_has(it, namespace) for it in read]
    everything = [*documents, *pods(documents)]
    items = {"apiVersion": "v1", "kind": "List", "items": everything}
    told = kubectl("create", "--dry-run=server", "-f", "-", document=items)
    assert len(told.splitlines()) == len(everything)
