"""What the adapters share: finding files, saying what is absent, tables of patients."""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from HierSynthLib.case import SEQUENCES, Role
from HierSynthLib.errors import InputError
from Training.datasets.cohort import Target

IMAGES = (".nii.gz", ".nii")


def image(folder: Path, stem: str) -> Path | None:
    """The image of that name in a folder, compressed or not."""
    return next((folder / f"{stem}{end}" for end in IMAGES if (folder / f"{stem}{end}").is_file()), None)


def images(folder: Path, stems: Mapping[Role, str]) -> dict[Role, Path]:
    """Those that exist of the images of the given names."""
    found = {role: image(folder, stem) for role, stem in stems.items()}
    return {role: path for role, path in found.items() if path is not None}


def absent_sequences(found: Collection[Role]) -> tuple[str, ...]:
    """A sentence for every sequence that is not there."""
    return tuple(f"{role} is absent." for role in SEQUENCES if role not in found)


def unusable(found: Collection[Role], target: Target | None, wanted: str) -> str:
    """Why an examination cannot be used; "" if it can.

    Args:
        found: its roles.
        target: None where there is no CBV of the kind that was asked for.
        wanted: what was asked for, e.g. "ap-rCBV map".
    """
    if not any(role in found for role in SEQUENCES):
        return "It has none of T1, T2, FLAIR and ADC."
    return "" if target else f"It has no {wanted}."


def read_table(path: Path, key: str, delimiter: str = ",") -> dict[str, dict[str, str]]:
    """The rows of a table by the value of one column; empty where there is no such file.

    Raises:
        InputError: it cannot be read, or lacks the column.
    """
    if not path.is_file():
        return {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = list(csv.DictReader(stream, delimiter=delimiter))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read as a table: {error}.", "Repair it, or move it away.") from error
    if rows and key not in rows[0]:
        raise InputError(f"{path} has no column '{key}'.", "Repair it, or move it away.")
    return {row[key].strip(): {name: (value or "").strip() for name, value in row.items() if name} for row in rows}


def folders(parent: Path) -> Iterable[Path]:
    """Sub-folders in the order of their names, without hidden ones."""
    return sorted(path for path in parent.iterdir() if path.is_dir() and not path.name.startswith("."))
