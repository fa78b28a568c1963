"""The rows of an evaluation on disk: one small file each, written whole, so that a killed evaluation goes on."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from HierSynthLib.errors import InputError, OutputError
from HierSynthLib.files import atomic_file, write_text_atomically
from Training.evaluation.cases import digest
from Training.evaluation.settings import EvaluationSettings

ROW_VERSION = 2
"""Changes whenever the same maps give other values."""

ROWS, PICTURES, MARK = "rows", "pictures", "evaluation-folder.json"
_MARK_TEXT = json.dumps({"kind": "HierSynth evaluation", "rows": ROW_VERSION}) + "\n"
REFERENCE = "target"
"""Stands for the model in the row of what depends on the case alone."""


@dataclass(frozen=True)
class Row:
    """What one model achieved in one patient.

    Attributes:
        case, case_key: of the patient.
        model_key: of the model, or `REFERENCE`.
        without: sequences that were left out.
        values: by column.
        curves: "calibration" and "spectrum" by region; for `REFERENCE`, "features" and "facts".
        seconds: of the synthesis.
        slices: that were synthesised.
        device: in words.
    """

    case: str
    case_key: str
    model_key: str
    without: tuple[str, ...] = ()
    values: dict[str, float | None] = field(default_factory=dict)
    curves: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    slices: int = 0
    device: str = ""


class Store:
    """The rows in the folder of an evaluation; those of other settings are not seen."""

    def __init__(self, out: Path, settings: EvaluationSettings, grid: tuple[float, ...]) -> None:
        """Open the folder of an evaluation, or make a new one.

        Args:
            out: new, empty, or of an earlier evaluation.
            settings: of the evaluation.
            grid: voxel edges in mm of the measurement.

        Raises:
            OutputError: there is something else in it, or it cannot be written.
        """
        self.out = out
        self._settings = digest([ROW_VERSION, settings.measured(), list(grid)])
        if out.is_dir() and any(out.iterdir()) and not (out / MARK).is_file():
            raise OutputError(f"The folder {out} holds something else.", "Choose a new one, or that of an evaluation.")
        if not (out / MARK).is_file():
            write_text_atomically(out / MARK, _MARK_TEXT)
        try:
            (out / ROWS).mkdir(exist_ok=True)
            (out / PICTURES).mkdir(exist_ok=True)
        except OSError as error:
            raise OutputError(f"{out} could not be written: {error.strerror}.", "Choose another folder.") from error

    def find(self, case_key: str, model_key: str, without: tuple[str, ...] = ()) -> Row | None:
        """The row, if it has been written.

        Raises:
            InputError: its file is damaged.
        """
        path = self._path(case_key, model_key, without)
        if not path.is_file():
            return None
        try:
            fields = json.loads(path.read_text("utf-8"))
            return Row(**(fields | {"without": tuple(fields["without"])}))
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise InputError(f"The row {path} is damaged.", "Remove this file; it will be measured again.") from error

    def write(self, row: Row) -> None:
        """Write a row.

        Raises:
            OutputError: it cannot be written.
        """
        text = json.dumps(asdict(row), allow_nan=False, ensure_ascii=False)
        path = self._path(row.case_key, row.model_key, row.without)
        with atomic_file(path, overwrite=True, durable=False) as temporary:
            temporary.write_text(text + "\n", "utf-8")

    def write_picture(self, case_key: str, model_key: str, **arrays: NDArray[Any]) -> None:
        """Write the slice of a map that the report shows."""
        path = self._picture(case_key, model_key)
        with atomic_file(path, overwrite=True, durable=False) as temporary, temporary.open("wb") as stream:
            np.savez_compressed(stream, allow_pickle=False, **arrays)

    def has_picture(self, case_key: str, model_key: str) -> bool:
        """Whether there is one."""
        return self._picture(case_key, model_key).is_file()

    def picture(self, case_key: str, model_key: str) -> dict[str, NDArray[Any]]:
        """The arrays of `write_picture`.

        Raises:
            InputError: the file is missing or damaged.
        """
        path = self._picture(case_key, model_key)
        try:
            with np.load(path, allow_pickle=False) as stored:
                return {name: stored[name] for name in stored.files}
        except (OSError, ValueError) as error:
            raise InputError(f"The picture {path} is damaged.", "Remove this file; it will be made again.") from error

    def _path(self, case_key: str, model_key: str, without: tuple[str, ...]) -> Path:
        return self.out / ROWS / f"{digest([self._settings, case_key, model_key, list(without)])[:32]}.json"

    def _picture(self, case_key: str, model_key: str) -> Path:
        return self.out / PICTURES / f"{digest([self._settings, case_key, model_key])[:32]}.npz"
