"""From a study folder and its key to the folder of the analysis."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from HierSynthLib.fidelity.report.output import REPORT
from HierSynthLib.progress import Part, Reporter
from HierSynthLib.reader_study.analysis.analyse import analyse
from HierSynthLib.reader_study.analysis.data import load
from HierSynthLib.reader_study.methods import methods_of
from HierSynthLib.reader_study.report.page import summary_sentences
from HierSynthLib.reader_study.report.write import JSON, write_report


def analyse_study(
    folder: Path, key_path: Path, out: Path, reporter: Reporter, *, accept_damaged: str = ""
) -> dict[str, Any]:
    """Analyse a closed study and write analysis.json, figures and report.html.

    Args:
        folder: of the study.
        key_path: its key.
        out: new or empty folder, written whole or not at all.
        reporter: told about the progress.
        accept_damaged: see `load`.

    Returns:
        "output", "report", "json" (paths), "sentences" (main results), "statements" (what the study is not),
        "simulated", "warnings" and "record" (receipt, number of events, whether it was verified).

    Raises:
        InputError: the study is not closed, the key is not its own, a truth cannot be compared, or a file cannot be
            read.
        DamagedRecordError: the record is not whole and there is no reason to accept it.
        OutputError: the folder is not empty or cannot be written.
        Cancelled: by the reporter.
    """
    readings = load(folder, key_path, Part(reporter, 0.0, 0.2), accept_damaged=accept_damaged)
    analysis = analyse(readings, Part(reporter, 0.2, 0.7))
    methods = methods_of(folder, key_path)
    record = write_report(out, analysis, methods, Part(reporter, 0.7, 1.0))
    return {
        "output": str(out),
        "report": str(Path(out) / REPORT),
        "json": str(Path(out) / JSON),
        "sentences": summary_sentences(record),
        "statements": record["statements"],
        "simulated": readings.simulated_readers or readings.simulated_cases > 0,
        "warnings": record["warnings"],
        "record": record["study"]["record"],
    }
