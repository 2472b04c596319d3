"""One command line in this process, as a shell would see it."""

import io
from contextlib import redirect_stderr, redirect_stdout

from atoll_api.exit_codes import ExitCode
from atoll_cli.__main__ import exit_code_of

_LAST_RESORT = "(run with --debug for the traceback)"
"""Ends what is said of an error that nobody has thought of."""
_MOST_CHARACTERS = 4000


def told(*arguments: object) -> tuple[ExitCode, str]:
    """A documented exit code, and what was printed; errors are lines that somebody has thought of."""
    output, errors = io.StringIO(), io.StringIO()
    with redirect_stdout(output), redirect_stderr(errors):
        code = ExitCode(exit_code_of([str(it) for it in arguments]))
    said = errors.getvalue()
    assert _LAST_RESORT not in said, said[-600:]
    if code is not ExitCode.OK:
        lines = said.splitlines()
        assert lines, f"ended with {code} and not a word"
        assert all(it.startswith(("atoll: ", "warning: ")) for it in lines), said[-600:]
        assert max(map(len, lines)) < _MOST_CHARACTERS, f"{lines[0][:200]}..."
    return code, output.getvalue() + said
