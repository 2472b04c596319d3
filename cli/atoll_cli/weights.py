"""Artifacts as safetensors files, readable by every tool of the field."""

import json
import os
from pathlib import Path

from safetensors.torch import save_file

from atoll_worker.ports import Artifact


def write_safetensors(path: Path, artifact: Artifact, digest: str) -> None:
    """Write by rename, so that a full disk leaves no half of a file.

    The header's metadata holds the digest, the parents and what the manifest says, as JSON.
    """
    metadata = {
        "format": "pt",
        "atoll.digest": digest,
        "atoll.parents": json.dumps(artifact.parents),
        "atoll.metadata": json.dumps(dict(artifact.metadata), sort_keys=True),
    }
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    tensors = {name: tensor.contiguous() for name, tensor in artifact.tensors.items()}
    try:
        save_file(tensors, temporary, metadata=metadata)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
