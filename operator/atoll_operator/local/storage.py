"""What to tell the user of `atoll run` about where artifacts go, if that is not as usual."""

from pathlib import Path

from atoll_api.hub_order import BucketStore
from atoll_api.ordering import artifact_store
from atoll_api.spec import TrainingJob
from atoll_operator.local.folder import RunFolder
from atoll_operator.local.run import identity, resolve


def where_artifacts_live(job: TrainingJob, base_folder: Path, folder: Path) -> str:
    """One line; empty for a job that keeps them in its folder and asked for nothing else."""
    storage, place = job.spec.artifacts.storage, RunFolder.at(folder)
    if storage.type == "PersistentVolumeClaim":
        return f"Volume claims are for clusters: here, artifacts are kept in {place.store}."
    who = identity(resolve(job, base_folder))
    store = artifact_store(who, job.spec.artifacts, str(place.store), holder="")
    if not isinstance(store, BucketStore):
        return ""
    where = f"Artifacts are kept in s3://{store.bucket}/{store.prefix}"
    if storage.object_store is not None and storage.object_store.credentials_secret_ref is not None:
        return f"{where}; secrets are for clusters: here, the AWS_* variables say who may write."
    return f"{where}."
