"""How a run or a job has ended, as an exit code."""

from atoll_api.exit_codes import NOT_RETRIED, ExitCode
from atoll_api.status import TrainingJobStatus
from atoll_cli.errors import CliError
from atoll_operator.plan.model import Complete, Failed
from atoll_operator.plan.status import ended_in


def conclude(status: TrainingJobStatus, where_logs_are: str) -> int | None:
    """The exit code of a job that is complete; None while it is not.

    Raises:
        CliError: it has failed.
    """
    match ended_in(status):
        case Complete():
            return ExitCode.OK
        case Failed(reason=reason, message=message):
            raise failure(status, reason, message, where_logs_are)
        case None:
            return None


def failure(status: TrainingJobStatus, reason: str, message: str, where_logs_are: str) -> CliError:
    """What a job that has failed says of itself."""
    if reason == "Invalid":
        return CliError(f"{reason}: {message}", ExitCode.INVALID)
    return CliError(f"{reason}: {message}; {where_logs_are}", failure_code(status))


def failure_code(status: TrainingJobStatus) -> ExitCode:
    """The code that all failed steps ended with, if running again cannot mend it; else 1."""
    failed = [step for step in (*status.steps, *status.islands) if step.state == "Failed"]
    codes = {step.exit_code for step in failed}
    final = [code for code in NOT_RETRIED if codes == {code}]
    return final[0] if final else ExitCode.FAILED
