"""A folder of case folders: with case.json, or with files of telling names (see `HierSynthLib.case`)."""

from __future__ import annotations

from pathlib import Path

from HierSynthLib.case import CBV_UNITS, Case, Role
from HierSynthLib.errors import InputError
from Training.datasets.cohort import Cohort, Exclusion, Subject, Target
from Training.datasets.layout import absent_sequences, folders, unusable

LAYOUT = "one folder for each examination, with case.json or with T1.nii.gz, T2.nii.gz, …, CBV_acquired.nii.gz."


def find(folder: Path, cbv: str = "map") -> Cohort:
    """The cases in a folder; `cbv` is "map" (the true map of a phantom, else the acquired one) or "dsc".

    In case.json, "facts" may name "patient" (several examinations of one person), "grade" and "site".
    """
    return Cohort.of("case-folders", (_examination(place, cbv) for place in folders(folder)))


def _examination(place: Path, cbv: str) -> Subject | Exclusion:
    try:
        return _subject(place, Case.open(place), cbv)
    except InputError as error:
        return Exclusion(place.name, str(error))


def _subject(place: Path, case: Case, cbv: str) -> Subject | Exclusion:
    target = _target(case, cbv)
    reason = unusable(case.files, target, "CBV map" if cbv == "map" else "DSC series")
    if reason or target is None:
        return Exclusion(place.name, reason)
    absent = absent_sequences(case.files) + (() if Role.ROI in case.files else ("There is no segmentation.",))
    patient, group, site = (str(case.facts.get(name) or "") for name in ("patient", "grade", "site"))
    return Subject(place.name, patient or case.id, case, target, group, site, absent=absent)


def _target(case: Case, cbv: str) -> Target | None:
    if cbv == "dsc":
        return Target("dsc", words="computed from the DSC series") if Role.DSC in case.files else None
    if Role.CBV_TRUE in case.files and case.simulated:
        return Target("truth", "nrCBV", registered=True, words="true CBV of a simulated patient")
    if Role.CBV_ACQUIRED not in case.files:
        return None
    units = case.units.get(Role.CBV_ACQUIRED, "")
    if units == CBV_UNITS:
        return Target("map", "nrCBV", words="acquired map in nrCBV")
    return Target("map", "white matter", words=f"acquired map in {units or 'units that are not stated'}")
