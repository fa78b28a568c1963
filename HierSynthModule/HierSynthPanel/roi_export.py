"""A measurement as files that the user chose, the same as those of the command line."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from HierSynthLib.fidelity.report.tables import measurement_csv
from HierSynthLib.files import write_text_atomically

CHANGES = "_changes"
"""Stands behind the name of the table in the name of the list of changes."""


def write_export(path: Path, entry: Mapping[str, Any], changes: str, simulated: bool) -> list[Path]:
    """Write the table of a measurement, and beside it what was done to hotspots and reference.

    Args:
        path: of the table; its name is the case's. The user has agreed to replace it where it exists.
        entry: the measurement.
        changes: the list of changes as CSV; "" where nothing was changed.
        simulated: whether the patient is simulated.

    Returns:
        The files.

    Raises:
        OutputError: one cannot be written, or the list of changes exists although the table does not.
    """
    path = path if path.suffix else path.with_suffix(".csv")
    beside = path.with_name(f"{path.stem}{CHANGES}.csv")
    replace = path.exists()
    texts = {beside: changes} if changes else {}
    texts[path] = measurement_csv(entry, case=path.stem, simulated=simulated)
    for file, text in texts.items():
        write_text_atomically(file, text, overwrite=replace)
    return list(texts)
