"""The folder of a run whose files were damaged: commands read it, or say in a line what to do."""

import shutil
from pathlib import Path
from random import Random
from typing import Final

from builders import make_job
from command_lines import told
from complete_runs import complete_run
from damage import damaged_folder, read_folder, write_folder
from fuzzing import Fuzz

from atoll_api.exit_codes import ExitCode
from atoll_operator.errors import OperatorError
from atoll_operator.local import run
from atoll_operator.local.folder import RunFolder

COMMANDS: Final = (
    ("status", "{0}"),
    ("status", "{0}", "--json"),
    ("report", "{0}"),
    ("report", "{0}", "--json"),
    ("report", "{0}", "{1}", "--json"),
    ("report", "{1}", "{0}", "-o", "{0}/both"),
)
DOCUMENTED: Final = {ExitCode.OK, ExitCode.FAILED, ExitCode.FINAL, ExitCode.NO_SPACE}


def reopen(folder: Path) -> None:
    """As `atoll run` does before anything is started."""
    place = RunFolder.at(folder)
    try:
        place.make()
        place.adopt(make_job())
        run._reopen(place, 0.0)
        place.read_metrics()
    except OperatorError as error:
        assert 0 < len(str(error)) < 2000
    else:
        assert place.read_status() is None or place.bound_refs() is not None


def test_run_folders(fuzz: Fuzz, tmp_path: Path) -> None:
    whole = complete_run(tmp_path / "whole")
    files = read_folder(whole)
    folder = tmp_path / "damaged"
    for words in COMMANDS:  # libraries are no case
        assert told(*(it.format(whole, whole) for it in words))[0] is ExitCode.OK
    shutil.rmtree(whole / "both")

    def case(random: Random) -> str:
        shutil.rmtree(folder, ignore_errors=True)
        write_folder(folder, damaged_folder(random, files))
        words = [it.format(folder, whole) for it in random.choice(COMMANDS)]
        code, _ = told(*words)
        assert code in DOCUMENTED, code
        reopen(folder)
        return code.name

    fuzz.run("run folders", case, {"OK", "FAILED", "FINAL"})
