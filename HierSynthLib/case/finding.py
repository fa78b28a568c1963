"""Case folders inside a folder."""

from __future__ import annotations

from pathlib import Path

from HierSynthLib.case.folder import FILE_NAME, Case
from HierSynthLib.errors import InputError


def find_cases(folder: Path) -> list[Path] | None:
    """The case folders inside a folder; None where the folder is a case itself.

    Folders with a case.json come first; where there are none, folders whose files have telling names count.

    Raises:
        InputError: it is no folder, or neither a case nor a folder of cases.
    """
    if not folder.is_dir() or (folder / FILE_NAME).exists():
        return None
    inside = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    described = [path for path in inside if (path / FILE_NAME).exists()]
    if described:
        return described
    try:
        Case.discover(folder)
    except InputError as error:
        telling = [path for path in inside if _is_case(path)]
        if not telling:
            raise InputError(
                f"{folder} is neither a case nor a folder of cases.", "A case has a case.json, or files named T1 …"
            ) from error
        return telling
    return None


def _is_case(folder: Path) -> bool:
    try:
        Case.discover(folder)
    except InputError:
        return False
    return True
