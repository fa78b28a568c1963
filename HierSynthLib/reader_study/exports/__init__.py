"""Exports of a closed study: long CSV with codebook, iMRMC, MRMCaov, REDCap."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from HierSynthLib.errors import InputError
from HierSynthLib.files import atomic_folder
from HierSynthLib.progress import Part, Reporter
from HierSynthLib.reader_study.analysis.data import load
from HierSynthLib.reader_study.analysis.readings import Readings
from HierSynthLib.reader_study.exports.long import long_files
from HierSynthLib.reader_study.exports.mrmc import imrmc_files, mrmcaov_files
from HierSynthLib.reader_study.exports.redcap import redcap_files

FORMATS: Mapping[str, Callable[[Readings], dict[str, str]]] = {
    "long": long_files,
    "imrmc": imrmc_files,
    "mrmcaov": mrmcaov_files,
    "redcap": redcap_files,
}
"""Name of a format → what makes its files: name of the file → text."""

_NO_ROC = "the study has no diagnosis with a confidence and a known truth."


SIMULATED = "SIMULATED-"
"""What the names of all files begin with if readers or patients are simulated."""


def export_study(
    folder: Path, key_path: Path, out: Path, formats: Sequence[str], reporter: Reporter, *, accept_damaged: str = ""
) -> list[Path]:
    """Export a closed study, unblinded by its key.

    Args:
        folder: of the study.
        key_path: its key.
        out: new or empty folder, written whole or not at all.
        formats: of `FORMATS`.
        reporter: told about the progress, of warnings, and of a format that has nothing to export.
        accept_damaged: see `load`.

    Returns:
        The files.

    Raises:
        InputError: a format is unknown, the study is not closed, the key is not its own, a truth cannot be compared,
            or none of the formats has anything to export.
        DamagedRecordError: the record is not whole and there is no reason to accept it.
        OutputError: the folder is not empty or cannot be written.
        Cancelled: by the reporter.
    """
    unknown = [name for name in formats if name not in FORMATS]
    if unknown or not formats:
        raise InputError(
            f"The format '{unknown[0]}' is unknown." if unknown else "No format is chosen.",
            f"Choose {', '.join(FORMATS)}.",
        )
    readings = load(folder, key_path, Part(reporter, 0.0, 0.7), accept_damaged=accept_damaged)
    for warning in readings.warnings:
        reporter.warning(warning)
    texts: dict[str, str] = {}
    for number, name in enumerate(dict.fromkeys(formats)):
        reporter.progress("export", 0.7 + 0.3 * number / len(formats))
        found = FORMATS[name](readings)
        if not found:
            reporter.warning(f"Nothing to export as {name}: {_NO_ROC}")
        texts |= found
    if not texts:
        raise InputError(f"There is nothing to export: {_NO_ROC}", "Choose the format long or redcap.")
    if readings.simulated_readers or readings.simulated_cases:
        texts = {f"{SIMULATED}{name}": text for name, text in texts.items()}
    with atomic_folder(out) as temporary:
        for name, text in texts.items():
            (temporary / name).write_text(text, encoding="utf-8", newline="")
    reporter.progress("export", 1.0)
    return [Path(out) / name for name in texts]


__all__ = ["FORMATS", "export_study"]
