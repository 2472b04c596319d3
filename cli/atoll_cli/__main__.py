"""The command `atoll`: parses the command line, runs one command, turns errors into exit codes."""

import errno
import io
import os
import sys
import traceback
from collections.abc import Sequence

import click

from atoll_api.exit_codes import ExitCode
from atoll_api.problems import InvalidJobError
from atoll_cli.commands import (
    crd,
    delete,
    logs,
    merge,
    pull,
    report,
    resume,
    run,
    sample,
    status,
    submit,
    suspend,
    top,
    validate,
)
from atoll_cli.errors import CliError
from atoll_operator.errors import OperatorError
from atoll_telemetry import logs as logs_of_process
from atoll_telemetry.logs import LogSettings, LogSettingsError

_OWN_LINES = LogSettings(level="warning")
"""A command speaks to people by itself; a log is for what nobody asked for."""

EPILOG = """\b
Exit codes: 0 complete; 1 failed; 2 wrong command line; 64 the job has problems;
65 a final error; 73 folder or port in use; 74 disk or quota full; 130 interrupted and
143 terminated (both can be resumed by running again)."""


class Sections(click.Group):
    """The commands by where they work, in the order in which people meet them."""

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a list a section."""
        del context
        for heading, modules in _SECTIONS.items():
            with formatter.section(heading):
                commands = [module.command for module in modules]
                formatter.write_dl([(it.name or "", it.get_short_help_str(80)) for it in commands])


@click.group(cls=Sections, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show tracebacks, of workers in their logs.")
@click.version_option(package_name="atoll", prog_name="atoll")
@click.pass_context
def atoll(context: click.Context, *, debug: bool) -> None:
    """Train on scattered computers: islands alone, one system at the end."""
    context.obj = debug


_SECTIONS = {
    "On this machine": (run, validate, merge, crd),
    "On a cluster": (submit, suspend, resume, delete),
    "For both": (status, top, logs, report, pull, sample),
}
for module in (it for modules in _SECTIONS.values() for it in modules):
    atoll.add_command(module.command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and end the process with a documented exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # no glyph decides how a run ends
    sys.exit(exit_code_of(list(sys.argv[1:] if arguments is None else arguments)))


def exit_code_of(arguments: list[str]) -> int:
    """Run one command line; every error becomes one line on stderr and a fixed code."""
    debug = "--debug" in arguments
    if debug:  # wherever on the line it stands
        arguments = ["--debug", *(word for word in arguments if word != "--debug")]
    try:
        _set_up_logs()
        result = atoll.main(arguments, prog_name="atoll", standalone_mode=False)
    except (click.Abort, KeyboardInterrupt):
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        return ExitCode.OK  # whoever read our output has seen enough
    except Exception as error:  # noqa: BLE001 - the last resort: a line instead of a traceback
        if debug:
            traceback.print_exc()
        return _explain(error)
    return result if isinstance(result, int) else ExitCode.OK


def _set_up_logs() -> None:
    try:
        logs_of_process.set_up(logs_of_process.read(os.environ, _OWN_LINES))
    except LogSettingsError as error:
        raise CliError(str(error), ExitCode.USAGE) from error


def _explain(error: Exception) -> ExitCode:
    """Tell the user, and say with which code to end."""
    match error:
        case InvalidJobError():
            count = len(error.problems)
            _tell(*(str(problem) for problem in error.problems))
            _tell(f"{count} problem{'s' if count > 1 else ''}; nothing was started")
            return ExitCode.INVALID
        case CliError() | OperatorError():
            _tell(str(error))
            return error.exit_code
        case click.ClickException():
            error.show()
            return ExitCode.USAGE
        case OSError(errno=errno.ENOSPC | errno.EROFS | errno.EDQUOT):
            where = error.filename or "the disk"
            _tell(f"{where}: {error.strerror}: free some space, then run again")
            return ExitCode.NO_SPACE
        case _ if isinstance(code := getattr(error, "exit_code", None), ExitCode):
            _tell(" ".join(str(error).split()))  # a worker's error, without importing torch to ask
            return code
        case _:
            _tell(f"{type(error).__name__}: {error} (run with --debug for the traceback)")
            return ExitCode.FAILED


def _tell(*lines: str) -> None:
    for line in lines:
        print(f"atoll: {line}", file=sys.stderr)


if __name__ == "__main__":
    main()
