"""ISLES 2016 and 2017 (stroke): `VSD.Brain.XX.O.MR_<sequence>.<number>.nii`, on a grid that varies with the case.

Kistler et al., JMIR 15:e245, 2013 and Winzeck et al., Frontiers in Neurology 9:679, 2018. T1, T2 and FLAIR are not
part of it, so the ADC defines the space. rCBV is in the units of the vendor's software and is
divided by its mean in white matter.
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

from HierSynthLib.case import Case, Role
from Training.datasets.cohort import Cohort, Exclusion, Subject, Target
from Training.datasets.layout import absent_sequences, unusable

LAYOUT = "<case>/VSD.Brain.XX.O.MR_ADC.<number>/VSD.Brain.XX.O.MR_ADC.<number>.nii, …, or the files in <case> itself."

LABELS = {1: "infarct"}
_NAME = re.compile(r"VSD\.Brain\.XX\.O\.(?:MR_)?(\w+)\.\d+\.nii(?:\.gz)?")
_ROLES = {
    "T1": Role.T1,
    "T2": Role.T2,
    "Flair": Role.FLAIR,
    "ADC": Role.ADC,
    "rCBV": Role.CBV_ACQUIRED,
    "4DPWI": Role.DSC,
    "OT": Role.ROI,
}


def find(folder: Path, cbv: str = "map") -> Cohort:
    """The cases in a copy of the training data; `cbv` is "map" (rCBV) or "dsc" (computed from 4DPWI)."""
    cases: dict[Path, dict[Role, list[Path]]] = defaultdict(lambda: defaultdict(list))
    for path in sorted(folder.rglob("VSD.Brain.XX.O.*.nii*")):
        match = _NAME.fullmatch(path.name)
        if match and match[1] in _ROLES and path.is_file():
            own = path.name.startswith(f"{path.parent.name}.nii")
            cases[path.parent.parent if own else path.parent][_ROLES[match[1]]].append(path)
    found = []
    for place, files in sorted(cases.items()):
        name = re.sub(r"[^\w.-]+", "_", "_".join(place.relative_to(folder).parts)) or place.name
        found.append(_subject(name, files, cbv))
    notes = (
        "All patients have a stroke.",
        "The space of a case is that of its ADC map.",
        "The segmentation is the final infarct, about 90 days later; in the acute images it need not be visible.",
    )
    return Cohort.of("isles", found, notes, expected=(Role.ADC,))


def _subject(name: str, found: dict[Role, list[Path]], cbv: str) -> Subject | Exclusion:
    several = [str(role) for role, paths in found.items() if len(paths) > 1]
    if several:
        return Exclusion(name, f"It has several files for {', '.join(several)}.")
    files = {role: paths[0] for role, paths in found.items()}
    target = None
    if cbv == "map" and Role.CBV_ACQUIRED in files:
        target = Target(
            "map", "white matter", registered=True, words="rCBV in the vendor's units; divided by white matter"
        )
    elif cbv == "dsc" and Role.DSC in files:
        target = Target("dsc", "white matter", words="computed from the DSC series")
    reason = unusable(files, target, "rCBV map" if cbv == "map" else "4DPWI series")
    if reason or target is None:
        return Exclusion(name, reason)
    absent = absent_sequences(files) + (() if Role.ROI in files else ("There is no segmentation.",))
    case = Case(name, files, labels=LABELS if Role.ROI in files else {})
    return Subject(name, name, case, target, group="stroke", absent=absent)
