"""YAML in and out. Read as YAML 1.2, as people mean it: `1e-3` is a number, `no` is a word."""

import io
import json
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.scanner import Scanner, ScannerError

from atoll_api.problems import MAX_DEPTH, InvalidJobError, Problem, parse_job
from atoll_api.spec import TrainingJob
from atoll_cli.errors import CliError, ExitCode

_MAX_BYTES = 4 * 2**20


class _ShallowScanner(Scanner):
    """Gives up at as many brackets as no job has: 3,000 took it ten seconds."""

    def fetch_flow_collection_start(self, *arguments: Any, **named: Any) -> None:
        """At a bracket that opens."""
        if len(self.flow_context) >= MAX_DEPTH:
            problem = f"more than {MAX_DEPTH} brackets in one another"
            raise ScannerError(None, None, problem, self.reader.get_mark())
        super().fetch_flow_collection_start(*arguments, **named)


def read_job(path: Path) -> TrainingJob:
    """Read, parse and check a job.

    Raises:
        CliError: the file cannot be read, or is not one YAML document.
        atoll_api.problems.InvalidJobError: with every problem of the job.
    """
    return parse_job(read_document(path))


def read_document(path: Path) -> Any:
    """Read the one YAML document of a file, as it is written.

    Raises:
        CliError: the file cannot be read, or is not one YAML document.
        atoll_api.problems.InvalidJobError: it holds several.
    """
    return _load(path, _read(path))


def _read(path: Path) -> str:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise CliError(f"{path}: larger than {_MAX_BYTES} bytes: not a job", ExitCode.INVALID)
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        hint = "give the path of a TrainingJob's YAML, such as examples/digits.yaml"
        raise CliError(f"{path}: no such file; {hint}", ExitCode.INVALID) from None
    except UnicodeDecodeError:
        raise CliError(f"{path}: not a text file in UTF-8", ExitCode.INVALID) from None
    except OSError as error:
        raise CliError(f"{path}: cannot be read: {error.strerror}", ExitCode.INVALID) from None


def _load(path: Path, text: str) -> Any:
    yaml = YAML(typ="safe", pure=True)
    yaml.Scanner = _ShallowScanner
    yaml.allow_duplicate_keys = False
    try:
        documents = list(yaml.load_all(text))
    except MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "unknown place"
        raise CliError(f"{path}: {where}: {error.problem!s:.300}", ExitCode.INVALID) from None
    except LookupError:
        told = f"{path}: not YAML: names a version of YAML that nobody reads"
        raise CliError(told, ExitCode.INVALID) from None
    except (YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())[:300]
        raise CliError(f"{path}: not YAML: {reason}", ExitCode.INVALID) from None
    if len(documents) != 1:
        problem = Problem("the document", f"the file holds {len(documents)} documents, not one")
        raise InvalidJobError([problem])
    return documents[0]


def to_yaml(document: dict[str, Any]) -> str:
    """A document as YAML that YAML 1.1 and 1.2 readers understand alike."""
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.width = 4096
    yaml.version = (
        1,
        1,
    )  # quotes words such as no and on, which Kubernetes' reader takes for false
    stream = io.StringIO()
    # Through JSON: no YAML tags, aliases or Python types.
    yaml.dump(json.loads(json.dumps(document)), stream)
    return stream.getvalue().removeprefix("%YAML 1.1\n---\n")
