"""Which cluster, as whom, and in which namespace: chosen as kubectl chooses.

The client's package takes, of several kubeconfigs, the current context that is named last, kubectl
the one that is named first. Both are told the one that is chosen here: they never speak to two
clusters. Imports nothing that takes time.
"""

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Self

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from atoll_cli.errors import CliError, ExitCode

_POD: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_IN_POD: Final = "KUBERNETES_SERVICE_HOST"


@dataclass(frozen=True)
class Wanted:
    """What the command line says of it; what it leaves out is as the kubeconfig has it."""

    namespace: str | None = None
    context: str | None = None
    kubeconfig: Path | None = None

    @property
    def flags(self) -> str:
        """To be said again in the next command; with a space before them."""
        given = {
            "-n": self.namespace,
            "--context": self.context,
            "--kubeconfig": self.kubeconfig,
        }
        words = [word for flag, it in given.items() if it is not None for word in (flag, str(it))]
        return f" {shlex.join(words)}" if words else ""


@dataclass(frozen=True)
class Place:
    """A namespace of a cluster.

    Attributes:
        namespace: empty: all of them.
        context: of the kubeconfig; empty in a pod, which speaks to its own cluster.
        files: the kubeconfig, in one or more files.
        flags: what the user has said to come here, to be said again.
    """

    namespace: str
    context: str = ""
    files: tuple[Path, ...] = ()
    flags: str = ""

    @property
    def title(self) -> str:
        """The cluster, for messages."""
        return f"context {self.context}" if self.context else "this pod's cluster"

    def everywhere(self) -> Self:
        """All namespaces of the same cluster."""
        return replace(self, namespace="")


def find_place(wanted: Wanted, environ: Mapping[str, str] = os.environ) -> Place:
    """Choose a cluster and a namespace.

    Raises:
        CliError: there is no kubeconfig, or it has no such context.
    """
    files = _files(wanted, environ)
    if not files:
        return _in_pod(wanted, environ)
    documents = [_read(file) for file in files]
    contexts = {it["name"]: it.get("context") or {} for it in reversed(_contexts(documents))}
    named = [it["current-context"] for it in documents if it.get("current-context")]
    chosen = wanted.context or next(iter(named), "")
    if chosen not in contexts:
        known = ", ".join(sorted(contexts)) or "none"
        where = os.pathsep.join(map(str, files))
        problem = f"no context {chosen}" if chosen else "no current context"
        raise CliError(f"{where}: {problem}: say --context; there is: {known}", ExitCode.FINAL)
    namespace = wanted.namespace or contexts[chosen].get("namespace") or "default"
    return Place(namespace, chosen, files, wanted.flags)


def _files(wanted: Wanted, environ: Mapping[str, str]) -> tuple[Path, ...]:
    """As kubectl: the one that is named; else those of KUBECONFIG that are there; else at home."""
    if wanted.kubeconfig is not None:
        return (wanted.kubeconfig,)
    said = [Path(it).expanduser() for it in environ.get("KUBECONFIG", "").split(os.pathsep) if it]
    candidates = said or [Path(environ.get("HOME", "~")).expanduser() / ".kube" / "config"]
    return tuple(it for it in candidates if it.exists())


def _read(file: Path) -> dict[str, Any]:
    try:
        document = YAML(typ="safe", pure=True).load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        said = error.strerror if isinstance(error, OSError) else "not a text file"
        raise CliError(f"kubeconfig {file}: {said}", ExitCode.FINAL) from None
    except YAMLError:
        document = None
    if not isinstance(document, dict):
        raise CliError(f"kubeconfig {file}: not the YAML of a kubeconfig", ExitCode.FINAL)
    return document


def _contexts(documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found = [it for document in documents for it in document.get("contexts") or ()]
    return [it for it in found if isinstance(it, dict) and "name" in it]


def _in_pod(wanted: Wanted, environ: Mapping[str, str]) -> Place:
    if _IN_POD not in environ or wanted.context:
        raise CliError(
            "no kubeconfig: say --kubeconfig FILE, or set KUBECONFIG to the file of a cluster",
            ExitCode.FINAL,
        )
    own = _POD.read_text().strip() if _POD.exists() else "default"
    return Place(wanted.namespace or own, flags=wanted.flags)
