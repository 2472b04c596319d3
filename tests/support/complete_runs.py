"""The folder of a run that is complete, made up."""

import json
from pathlib import Path

from builders import job_document
from findings import findings

from atoll_api.spec import TrainingJob
from atoll_api.status import ArtifactStatus, Moment, StepStatus, TrainingJobStatus
from atoll_operator.local.folder import RunFolder
from atoll_worker.report.document import Report, RunFacts, metrics

PAGE = "<main>\n<!-- timeline -->\n<!-- /timeline -->\n</main>"
ISLAND = StepStatus(
    name="island-0",
    island=0,
    state="Succeeded",
    history=(
        Moment(state="Running", since="2026-01-31T12:00:02.500Z"),
        Moment(state="Succeeded", since="2026-01-31T12:00:09.000Z"),
    ),
)
DONE = TrainingJobStatus(
    state="Complete",
    islands=(ISLAND,),
    artifacts=(ArtifactStatus(name="router", digest="blake3:1", size_bytes=1),),
    start_time="2026-01-31T12:00:00Z",
    completion_time="2026-01-31T12:00:10Z",
)


def complete_run(folder: Path, status: TrainingJobStatus = DONE, **spec: object) -> Path:
    """The folder of a run that is complete."""
    folder.mkdir()
    job = TrainingJob.from_document(job_document(**spec))
    (folder / "job.json").write_text(json.dumps(job.to_document()))
    RunFolder.at(folder).write_status(status)
    found = findings(seed=job.spec.seed)
    report = Report(metrics=metrics(found), findings=found, run=RunFacts(job="digits", uid="0"))
    (folder / "report.json").write_text(json.dumps(report.to_document()))
    (folder / "report.html").write_text(PAGE)
    return folder
