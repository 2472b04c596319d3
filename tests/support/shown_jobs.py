"""The jobs that the documentation shows, whole or in part."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from builders import job_document
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
_BLOCK = re.compile(r"^```yaml\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def shown_jobs() -> dict[str, Mapping[str, Any]]:
    """Each block of YAML, by its page and number."""
    return {
        f"{page.name}-{number}": YAML(typ="safe").load(text)
        for page in PAGES
        for number, text in enumerate(_BLOCK.findall(page.read_text()))
    }


def without_jobs(page: Path) -> str:
    """The rest of a page."""
    return _BLOCK.sub("", page.read_text())


def document_of(shown: Mapping[str, Any]) -> dict[str, Any]:
    """The whole job: the smallest one with this `spec`, or with these fields of it."""
    if "kind" in shown:
        return dict(shown)
    document = job_document()
    spec = shown.get("spec", shown)
    metadata = document["metadata"] | dict(shown.get("metadata", {}))
    return {**document, "metadata": metadata, "spec": {**document["spec"], **spec}}
