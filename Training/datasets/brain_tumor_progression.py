"""Brain-Tumor-Progression (TCIA): Schmainda and Prah, 2018. DICOM, 20 glioblastoma patients, two examinations each.

Series are recognised by Series Description, whatever their folders are called. They are registered to T1 already.
`nRCBVreg` is leakage-corrected rCBV normalised to normal-appearing white matter; `sRCBVreg` is mapped to a standard
scale, which division by white matter cannot undo, and is not used.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from HierSynthLib.case import Case, Role
from Training.datasets.cohort import Cohort, Exclusion, Subject, Target
from Training.datasets.layout import absent_sequences, unusable

LAYOUT = "any folders with one DICOM series each; the Series Descriptions are T1prereg, T2reg, FLAIRreg, ADCreg, …"

LABELS = {1: "tumour"}
_ROLES = {
    "t1prereg": Role.T1,
    "t2reg": Role.T2,
    "flairreg": Role.FLAIR,
    "adcreg": Role.ADC,
    "t1post": Role.T1CE,
    "t1postreg": Role.T1CE,
    "nrcbvreg": Role.CBV_ACQUIRED,
    "masktumor": Role.ROI,
}
_TARGET = Target("map", "white matter", registered=True, words="nRCBV: leakage-corrected, normalised to white matter")


@dataclass(frozen=True)
class _Series:
    patient: str
    study: str
    date: str
    description: str
    folder: Path


def find(folder: Path, cbv: str = "map") -> Cohort:
    """The examinations in a copy of the data set, which has maps but no DSC series."""
    studies: dict[tuple[str, str, str], list[_Series]] = defaultdict(list)
    for series in _all_series(folder):
        studies[series.patient, series.date, series.study].append(series)
    numbers, found = defaultdict[str, int](int), []
    for (patient, _, _), series_of_study in sorted(studies.items()):
        numbers[patient] += 1
        found.append(_subject(patient, f"{patient}-{numbers[patient]}", series_of_study, cbv))
    notes = ("All patients have a glioblastoma, treated by surgery and radiochemotherapy.",)
    return Cohort.of("brain-tumor-progression", found, notes)


def _all_series(folder: Path) -> list[_Series]:
    """One entry for each folder whose first readable DICOM file is of a known series."""
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError

    found = []
    tags = ["PatientID", "StudyInstanceUID", "StudyDate", "SeriesDescription"]
    for place, _, names in sorted(os.walk(folder)):
        for name in sorted(names):
            try:
                header = dcmread(Path(place) / name, stop_before_pixels=True, specific_tags=list(tags))
            except (InvalidDicomError, OSError, EOFError, ValueError):
                continue
            values = [str(header.get(tag, "") or "") for tag in tags]
            if _key(values[3]) in _ROLES and values[0]:
                found.append(_Series(values[0], values[1], values[2], values[3], Path(place)))
            break
    return found


def _key(description: str) -> str:
    return "".join(sign for sign in description.lower() if sign.isalnum())


def _subject(patient: str, name: str, series: list[_Series], cbv: str) -> Subject | Exclusion:
    places: Mapping[Role, list[_Series]] = {
        role: [one for one in series if _ROLES[_key(one.description)] is role] for role in _ROLES.values()
    }
    several = [f"{found[0].description} ({len(found)})" for found in places.values() if len(found) > 1]
    if several:
        return Exclusion(name, f"It has several series of one kind: {', '.join(several)}.")
    files = {role: found[0].folder for role, found in places.items() if found}
    target = _TARGET if cbv == "map" and Role.CBV_ACQUIRED in files else None
    reason = unusable(files, target, "nRCBVreg series" if cbv == "map" else "DSC series: the data set has maps only")
    if reason or target is None:
        return Exclusion(name, reason)
    absent = absent_sequences(files) + (() if Role.ROI in files else ("There is no segmentation.",))
    case = Case(name, files, labels={})
    return Subject(name, patient, case, target, group="glioblastoma", absent=absent)
