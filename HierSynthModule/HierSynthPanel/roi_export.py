"""A measurement as files that the user chose, the same as those of the command line."""

from collections.abc import Generator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slicer.i18n import tr as _

from HierSynthLib.errors import OutputError
from HierSynthLib.fidelity.report.tables import measurement_csv
from HierSynthLib.files import atomic_file, write_text_atomically

CHANGES = "_changes"
"""Stands behind the name of the table in the name of the list of changes."""

SUFFIX = ".csv"

WAIT_SECONDS = 0.005
"""How long one step waits for the files."""


@dataclass(frozen=True)
class Target:
    """The files of one export.

    Attributes:
        table: where the table is written to.
        changes: where the list of changes is written to, if there is one.
        replace: whether the user has agreed to replace both.
    """

    table: Path
    changes: Path
    replace: bool

    @property
    def case(self) -> str:
        """The name of the table without its suffix."""
        return self.table.name[: -len(SUFFIX)]


def target_of(chosen: str) -> Target:
    """The files for a name that the user gave in a dialog that asks before it replaces a file of just that name.

    Raises:
        OutputError: there is a file that the dialog has not asked about.
    """
    named = chosen.lower().endswith(SUFFIX)
    table = Path(chosen if named else chosen + SUFFIX)
    changes = table.with_name(f"{table.name[: -len(SUFFIX)]}{CHANGES}{SUFFIX}")
    replace = named and table.exists()
    for path in () if replace else (table, changes):
        if path.exists():
            raise OutputError(_("{file} exists already.").format(file=path.name), _("Choose another name."))
    return Target(table, changes, replace)


def write_export(
    target: Target, entry: Mapping[str, Any], changes: str, simulated: bool
) -> Generator[None, None, list[Path]]:
    """Write the table of a measurement, and beside it what was done to hotspots and reference; both or neither.

    A list of changes that belongs to a replaced table is removed. This is done in the background.

    Args:
        target: the files.
        entry: the measurement.
        changes: the list of changes as CSV; "" where nothing was changed.
        simulated: whether the patient is simulated.

    Returns:
        As the generator's value, the files; every step waits a moment for them.

    Raises:
        OutputError: one cannot be written, or exists although replacing it was not agreed to.
    """
    # The thread ends with the work, since nobody keeps the executor.
    writing = ThreadPoolExecutor(1, "HierSynth").submit(_write, target, entry, changes, simulated)
    while not wait([writing], WAIT_SECONDS).done:
        yield
    return writing.result()


def _write(target: Target, entry: Mapping[str, Any], changes: str, simulated: bool) -> list[Path]:
    text = measurement_csv(entry, case=target.case, simulated=simulated)
    with atomic_file(target.table, overwrite=target.replace) as table:
        table.write_text(text, encoding="utf-8", newline="\n")
        if changes:
            write_text_atomically(target.changes, changes, overwrite=target.replace)
    if changes:
        return [target.changes, target.table]
    if target.replace:
        try:
            target.changes.unlink(missing_ok=True)
        except OSError as error:
            what = _("{file} belongs to the table before and could not be removed.").format(file=target.changes.name)
            raise OutputError(what, _("Remove it yourself.")) from error
    return [target.table]
