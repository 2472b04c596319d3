"""The chart, through helm as a user would: from the PATH, or what the test cluster has built."""

import functools
import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tools.cluster import places, programs

Document = dict[str, Any]
Values = Mapping[str, Any]

CHART = Path(__file__).resolve().parents[2] / "charts/atoll"
KUBERNETES = "1.34.4"
"""Said to `helm template`: a helm from bare sources knows of no Kubernetes."""
IMAGES: Values = {"imageRegistry": "registry.example.com/team"}
"""What an installation has to say at least."""


def find() -> str:
    """Where helm is; else skips, and says so."""
    cache = places.find(os.environ).cache
    built = programs.built_folder(cache) / "helm"
    found = shutil.which("helm") or (str(built) if built.exists() else None)
    if found is None:
        pytest.skip("NO HELM: the chart is not tested; install helm 3.14, or run `make cluster-up`")
    return found


def tried(*arguments: str, values: Values | None = None, timeout: float = 120) -> "Done":
    """A command that may fail. Values are given as a file of JSON, on the standard input."""
    given = () if values is None else ("--values", "-")
    return subprocess.run(
        [find(), *arguments, *given],
        input=None if values is None else json.dumps(values),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


Done = subprocess.CompletedProcess[str]


def run(*arguments: str, values: Values | None = None, timeout: float = 120) -> str:
    """What a command prints; a failed one fails the test with what it said."""
    done = tried(*arguments, values=values, timeout=timeout)
    assert done.returncode == 0, f"helm {' '.join(arguments)}: {done.stderr}"
    return done.stdout


@dataclass(frozen=True)
class Release:
    """One installation on a cluster."""

    kubeconfig: str
    namespace: str
    name: str = "atoll"

    def tried(self, verb: str, *arguments: str, values: Values | None = None) -> Done:
        """A command that may fail."""
        where = ("--kubeconfig", self.kubeconfig, "--namespace", self.namespace)
        return tried(verb, self.name, *arguments, *where, values=values, timeout=300)

    def run(self, verb: str, *arguments: str, values: Values | None = None) -> str:
        """What a command prints; a failed one fails the test with what it said."""
        done = self.tried(verb, *arguments, values=values)
        assert done.returncode == 0, f"helm {verb}: {done.stdout}\n{done.stderr}"
        return done.stdout

    def install(self, values: Values, *flags: str, chart: Path = CHART) -> str:
        """Install it, or change it."""
        return self.run("upgrade", str(chart), "--install", *flags, values=values)


@dataclass(frozen=True)
class Rendered:
    """The objects of a release, before any API server has seen them."""

    documents: tuple[Document, ...]

    def all(self, kind: str) -> list[Document]:
        return [it for it in self.documents if it["kind"] == kind and not is_hook(it)]

    def one(self, kind: str) -> Document:
        (found,) = self.all(kind)
        return found

    @property
    def pod(self) -> Document:
        """What the Deployment makes."""
        template: Document = self.one("Deployment")["spec"]["template"]
        return template

    @property
    def container(self) -> Document:
        (found,) = self.pod["spec"]["containers"]
        container: Document = found
        return container

    @property
    def environment(self) -> dict[str, str]:
        """As the operator's process sees it, but for its own name and namespace."""
        return {it["name"]: it["value"] for it in self.container["env"] if "value" in it}


def is_hook(document: Document) -> bool:
    """Whether it comes and goes with `helm test`."""
    return "helm.sh/hook" in document["metadata"].get("annotations", {})


def rendered(
    values: Values | None = None, release: str = "atoll", namespace: str = "system"
) -> Rendered:
    """The objects as a release of these values has them."""
    text = _rendered(json.dumps({**IMAGES, **(values or {})}), release, namespace)
    return Rendered(tuple(it for it in yaml.load_all(text, yaml.CSafeLoader) if it))


@functools.cache
def _rendered(values: str, release: str, namespace: str) -> str:
    where = ("--namespace", namespace, "--kube-version", KUBERNETES)
    return run("template", release, str(CHART), *where, values=json.loads(values))


def refusal(values: Values) -> str:
    """Why a release of these values cannot be."""
    where = ("--kube-version", KUBERNETES)
    done = tried("template", "atoll", str(CHART), *where, values={**IMAGES, **values})
    assert done.returncode != 0, done.stdout[:2000]
    return done.stderr
