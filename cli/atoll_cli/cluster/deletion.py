"""What a job takes along when it is deleted. Pure."""

from atoll_cli.cluster.jobs import JobOnCluster


def what_goes(job: JobOnCluster) -> list[str]:
    """A line for the job, and one for what it keeps."""
    namespace, name = job.view.key
    state = job.view.status.state if job.view.status else "Pending"
    return [f"{name} in namespace {namespace} is {state}.", _artifacts(job)]


def _artifacts(job: JobOnCluster) -> str:
    storage = job.view.document()["spec"].get("artifacts", {}).get("storage", {})
    kept = _counted(job)
    match storage.get("type", "EmptyDir"):
        case "ObjectStore":
            url = storage.get("objectStore", {}).get("url", "its bucket")
            return f"With it go its pods; {kept} stay in {url}."
        case "PersistentVolumeClaim":
            return f"With it go its pods, and its claim with {kept}: `atoll pull` what you need."
        case _:
            return f"With it go its pods, and its hub with {kept}: `atoll pull` what you need."


def _counted(job: JobOnCluster) -> str:
    """So much as the status says: of many artifacts it names the models."""
    artifacts = job.view.status.artifacts if job.view.status else ()
    if not artifacts:
        return "all artifacts"
    size = sum(it.size_bytes for it in artifacts)
    return f"all artifacts (models among them: {len(artifacts)}, {_megabytes(size)})"


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:,.1f} MB"
