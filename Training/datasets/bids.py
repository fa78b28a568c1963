"""A data set in the Brain Imaging Data Structure (bids-specification.readthedocs.io).

Read are `sub-*/[ses-*/]anat/*_{T1w,T2w,FLAIR}`, `dwi/*_ADC`, `perf/*_{cbv,dsc}` and, of the data set or of one of its
`derivatives/*`, `anat/*_dseg` or `*_label-lesion_mask` (lesion) and `*_desc-brain_mask`. Timing and units come from the
JSON files beside the images, groups and sites from participants.tsv.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from HierSynthLib.case import CBV_UNITS, Case, Role
from HierSynthLib.errors import InputError
from HierSynthLib.perfusion.reading import sidecar_of
from Training.datasets.cohort import Cohort, Exclusion, Subject, Target
from Training.datasets.layout import IMAGES, absent_sequences, folders, read_table, unusable

LAYOUT = "sub-*/[ses-*/]anat/*_T1w.nii.gz, dwi/*_ADC.nii.gz, perf/*_cbv.nii.gz or *_dsc.nii.gz."

_SUFFIXES = {
    Role.T1: ("anat", ("_T1w",)),
    Role.T2: ("anat", ("_T2w",)),
    Role.FLAIR: ("anat", ("_FLAIR",)),
    Role.ADC: ("dwi", ("_ADC",)),
    Role.CBV_ACQUIRED: ("perf", ("_cbv",)),
    Role.DSC: ("perf", ("_dsc",)),
    Role.ROI: ("anat", ("_label-lesion_mask", "_dseg")),
    Role.BRAIN: ("anat", ("_desc-brain_mask",)),
}
_GROUPS, _SITES = ("grade", "group", "diagnosis"), ("site", "scanner", "institution")


def find(folder: Path, cbv: str = "map") -> Cohort:
    """The examinations of a data set; `cbv` is "map" (`_cbv`) or "dsc" (computed from `_dsc`)."""
    people = read_table(folder / "participants.tsv", "participant_id", "\t")
    roots = [folder, *(folders(folder / "derivatives") if (folder / "derivatives").is_dir() else ())]
    found = []
    for person in folders(folder):
        if not person.name.startswith("sub-"):
            continue
        sessions = [place for place in folders(person) if place.name.startswith("ses-")] or [person]
        for session in sessions:
            places = [root / session.relative_to(folder) for root in roots]
            row = people.get(person.name, {})
            found.append(_subject(person.name, session.name, places, row, cbv))
    return Cohort.of("bids", found)


def _subject(patient: str, session: str, places: list[Path], row: dict[str, str], cbv: str) -> Subject | Exclusion:
    name = patient if session == patient else f"{patient}_{session}"
    files: dict[Role, Path] = {}
    remarks = []
    for role, (kind, suffixes) in _SUFFIXES.items():
        paths = _paths(places, kind, suffixes, role)
        if paths:
            files[role] = paths[0]
        if len(paths) > 1:
            remarks.append(f"Of {len(paths)} files for {role}, {paths[0].name} is taken.")
    target, units = None, dict[Role, str]()
    if cbv == "map" and Role.CBV_ACQUIRED in files:
        stated = _units(files[Role.CBV_ACQUIRED])
        units = {Role.CBV_ACQUIRED: stated} if stated else {}
        target = Target("map", "nrCBV" if stated == CBV_UNITS else "white matter", words="CBV map of the data set")
    elif cbv == "dsc" and Role.DSC in files:
        target = Target("dsc", "white matter", words="computed from the DSC series")
    reason = unusable(files, target, "perf/*_cbv map" if cbv == "map" else "perf/*_dsc series")
    if reason or target is None:
        return Exclusion(name, reason)
    absent = absent_sequences(files) + (() if Role.ROI in files else ("There is no segmentation.",))
    group, site = (next((row[key] for key in keys if row.get(key)), "") for keys in (_GROUPS, _SITES))
    return Subject(name, patient, Case(name, files, units), target, group, site, absent=(*absent, *remarks))


def _paths(places: list[Path], kind: str, suffixes: tuple[str, ...], role: Role) -> list[Path]:
    """All files of a role, those of the data set before derivatives; not those after contrast agent."""
    found = []
    for place in places:
        inside = sorted((place / kind).iterdir()) if (place / kind).is_dir() else []
        for suffix in suffixes:
            found += [
                path
                for path in inside
                if path.name.endswith(tuple(suffix + end for end in IMAGES))
                and not (role is Role.T1 and "_ce-" in path.name)
            ]
    return found


def _units(path: Path) -> str:
    """Units that the JSON beside an image states; "" where there is none."""
    sidecar = sidecar_of(path)
    if not sidecar.is_file():
        return ""
    try:
        content: Any = json.loads(sidecar.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{sidecar} cannot be read as JSON.", "Repair it.") from error
    units = content.get("Units", "") if isinstance(content, dict) else ""
    return units if isinstance(units, str) else ""
