"""ROC ratings for programs that analyse multi-reader multi-case studies: iMRMC and MRMCaov."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain, count

import numpy as np

from HierSynthLib.fidelity.report.output import file_part
from HierSynthLib.reader_study.analysis.diagnosis import Diagnosis, diagnoses
from HierSynthLib.reader_study.analysis.readings import Readings
from HierSynthLib.reader_study.exports.cells import cell, csv_lines

# iMRMC splits its lines at commas and knows no quotes; "truth" is its own word.
_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]")
_TRUTH = "truth"


def imrmc_files(study: Readings) -> dict[str, str]:
    """For each diagnosis an .imrmc file for the program and a .csv with a heading for its R package.

    A row is readerID, caseID, modalityID, score; the rows whose reader and modality are "truth" hold 0 or 1 for each
    case.

    Args:
        study: closed, with its key.

    Returns:
        Name of the file → text; empty where there is no diagnosis with truth and confidence.

    Source: https://github.com/DIDSR/iMRMC (input files; data of the R package).
    """
    files = {}
    for found in diagnoses(study):
        rows = [*_truth_rows(found), *_score_rows(found)]
        stem = f"imrmc-{_stem(found)}"
        header = [
            f"Study {study.identifier}, item {found.question.id}, mode {found.mode}",
            *(["SIMULATED READERS"] if study.simulated_readers else []),
            *([f"SIMULATED PATIENTS: {study.simulated_cases} of {len(study.cases)}"] if study.simulated_cases else []),
            f"NR: {len(found.scores.readers)}",
            f"N0: {int((~found.positive).sum())}",
            f"N1: {int(found.positive.sum())}",
            f"NM: {len(found.scores.arms)}",
            "BEGIN DATA:",
        ]
        files[f"{stem}.imrmc"] = "\n".join([*header, *(",".join(row) for row in rows)]) + "\n"
        files[f"{stem}.csv"] = csv_lines(["readerID", "caseID", "modalityID", "score"], rows)
    return files


def mrmcaov_files(study: Readings) -> dict[str, str]:
    """For each diagnosis a CSV with the columns reader, treatment, case, truth (1 positive) and rating.

    MRMCaov's DeLong covariances need every reader's rating of every case in every treatment. So the file holds the
    cases that have them all; where that leaves some out, all ratings are in a second file, "…-all.csv".

    Args:
        study: closed, with its key.

    Returns:
        Name of the file → text; empty where there is no diagnosis with truth and confidence.

    Source: https://github.com/brian-j-smith/MRMCaov (data sets of the package).
    """
    headings = ["reader", "treatment", "case", "truth", "rating"]
    files = {}
    for found in diagnoses(study):
        truth = {case: value for _, case, _, value in _truth_rows(found)}
        rows = [[reader, arm, case, truth[case], score] for reader, case, arm, score in _score_rows(found)]
        ratings = Counter(case for _, _, case, _, _ in rows)
        whole = len(found.scores.readers) * len(found.scores.arms)
        complete = [row for row in rows if ratings[row[2]] == whole]
        files[f"mrmcaov-{_stem(found)}.csv"] = csv_lines(headings, complete)
        if len(complete) < len(rows):
            files[f"mrmcaov-{_stem(found)}-all.csv"] = csv_lines(headings, rows)
    return files


def _truth_rows(found: Diagnosis) -> Iterator[list[str]]:
    cases = _neutral(found.scores.cases)
    for case, positive in zip(found.scores.cases, found.positive, strict=True):
        yield [_TRUTH, cases[case], _TRUTH, "1" if positive else "0"]


def _score_rows(found: Diagnosis) -> Iterator[list[str]]:
    """Reader, case, arm and score of every score that there is."""
    scores = found.scores
    readers, cases, arms = (_neutral(names) for names in (scores.readers, scores.cases, scores.arms))
    for r, reader in enumerate(scores.readers):
        for c, case in enumerate(scores.cases):
            for a, arm in enumerate(scores.arms):
                value = scores.values[a, c, r]
                if np.isfinite(value):
                    yield [readers[reader], cases[case], arms[arm], cell(float(value))]


def _stem(found: Diagnosis) -> str:
    return f"{file_part(found.question.id)}-{file_part(found.mode)}"


def _neutral(names: Sequence[str]) -> dict[str, str]:
    """Names that iMRMC can read, all different, and none its own word."""
    taken = {_TRUTH}
    found = {}
    for name in names:
        plain = _UNSAFE.sub("_", name)
        found[name] = next(each for each in chain([plain], (f"{plain}_{n}" for n in count(2))) if each not in taken)
        taken.add(found[name])
    return found
