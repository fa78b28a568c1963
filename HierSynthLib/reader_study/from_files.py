"""A study from the files that a person names: folders of cases, protocol and form in YAML or JSON, truth in CSV."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from HierSynthLib.case.finding import find_cases
from HierSynthLib.errors import InputError
from HierSynthLib.folders import resources_folder
from HierSynthLib.progress import Reporter
from HierSynthLib.reader_study.create import create_study, read_cases, read_definition, read_truth
from HierSynthLib.reader_study.form import Form
from HierSynthLib.reader_study.protocol import Protocol
from HierSynthLib.reader_study.study import Study

DEFAULT_FORM = "default-form.yaml"


@dataclass(frozen=True)
class StudyFiles:
    """What a study is made from, and where it goes.

    Attributes:
        cases: case folders, or folders of case folders.
        protocol: YAML or JSON.
        out: new folder for the study.
        form: YAML or JSON; None takes the default form.
        key: new file; None puts it beside the study.
        truth: CSV with the column "case"; None where nothing is known, or cases are simulated.
    """

    cases: Sequence[Path]
    protocol: Path
    out: Path
    form: Path | None = None
    key: Path | None = None
    truth: Path | None = None

    @property
    def key_file(self) -> Path:
        """Where the key is written."""
        out = self.out.absolute()
        return self.key or out.with_name(f"{out.name}-key.json")


def create_from_files(files: StudyFiles, reporter: Reporter) -> tuple[Study, int]:
    """Make the folder of a study and its key; returns the study and the number of its cases.

    Raises:
        InputError: a file or folder is missing, or something does not fit together.
        OutputError: the study or the key exists, or cannot be written. Nothing is left behind then.
    """
    protocol = Protocol.parse(read_definition(files.protocol), str(files.protocol))
    form = files.form or resources_folder() / "StudyForms" / DEFAULT_FORM
    questions = Form.parse(read_definition(form), str(form))
    truth = read_truth(files.truth) if files.truth else {}
    cases = read_cases([each for folder in files.cases for each in (find_cases(folder) or [folder])])
    study = create_study(protocol, questions, cases, files.out, files.key_file, reporter, truth=truth)
    return study, len(cases)


def run_job(parameters: dict[str, Any], reporter: Reporter) -> dict[str, Any]:
    """Make a study for the panel.

    Parameters: "cases" (list of folders), "protocol", "out", and where wanted "form", "key" and "truth" (paths).
    Result: "study" and "key" (paths), "cases" (number) and "presentations" (reader → number).

    Raises:
        InputError: a parameter is missing; see `create_from_files` for the rest.
    """
    cases = parameters.get("cases")
    needed = [parameters.get(name) for name in ("protocol", "out")]
    if (
        not isinstance(cases, list)
        or not cases
        or not all(isinstance(each, str) and each for each in (*cases, *needed))
    ):
        raise InputError("A study needs cases (list of folders), protocol and out (texts).")
    paths = {name: Path(str(parameters[name])) for name in ("form", "key", "truth") if parameters.get(name)}
    files = StudyFiles([Path(each) for each in cases], Path(str(needed[0])), Path(str(needed[1])), **paths)
    study, number = create_from_files(files, reporter)
    presentations = {reader: len(study.slots(reader)) for reader in study.readers}
    return {"study": str(files.out), "key": str(files.key_file), "cases": number, "presentations": presentations}
