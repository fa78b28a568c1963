"""UCSF-PDGM (TCIA, CC BY 4.0): Calabrese et al., Radiology: Artificial Intelligence 4:e220058, 2022.

501 patients with gliomas of grade 2 to 4. Perfusion was measured by arterial spin labelling, which gives blood flow and
no blood volume: there is nothing to train on. The cases serve the statistics of the input, and synthesis without an
acquired map to compare with.
"""

from __future__ import annotations

import re
from pathlib import Path

from HierSynthLib.case import Case, Role
from Training.datasets.cohort import Cohort, Exclusion, Subject, Target
from Training.datasets.layout import absent_sequences, folders, images, read_table, unusable

LAYOUT = "UCSF-PDGM-NNNN_nifti/UCSF-PDGM-NNNN_T1.nii.gz, …; UCSF-PDGM-metadata*.csv beside them is read if it is there."

LABELS = {1: "necrotic core", 2: "oedema", 4: "enhancing tumour"}
_FOLDER = re.compile(r"((UCSF-PDGM-\d{3,4})(?:_FU\d+d)?)_nifti")
_TARGET = Target("none", "nrCBV", words="none: arterial spin labelling gives blood flow, not blood volume")


def find(folder: Path, cbv: str = "map") -> Cohort:
    """The examinations in a copy of the data set; none has a CBV map, whatever `cbv` says."""
    grades = _grades(folder)
    matches = [(place, _FOLDER.fullmatch(place.name)) for place in folders(folder)]
    found = [_subject(place, match[1], match[2], grades) for place, match in matches if match]
    notes = ("There is no CBV: perfusion is ASL. The cohort can be reported and synthesised, not trained on.",)
    return Cohort.of("ucsf-pdgm", found, notes)


def _subject(place: Path, name: str, patient: str, grades: dict[int, str]) -> Subject | Exclusion:
    stems = {
        Role.T1: "T1",
        Role.T2: "T2",
        Role.FLAIR: "FLAIR",
        Role.ADC: "ADC",
        Role.ASL: "ASL",
        Role.T1CE: "T1c",
        Role.ROI: "tumor_segmentation",
        Role.BRAIN: "brain_segmentation",
    }
    files = images(place, {role: f"{name}_{stem}" for role, stem in stems.items()})
    reason = unusable(files, _TARGET, "")
    if reason:
        return Exclusion(name, reason)
    grade = grades.get(_number(patient), "")
    case = Case(name, files, labels=LABELS if Role.ROI in files else {})
    return Subject(name, patient, case, _TARGET, group=grade, absent=(*absent_sequences(files), "There is no CBV."))


def _grades(folder: Path) -> dict[int, str]:
    """Number of the patient → "grade 2" …; the table writes three digits where the folders have four."""
    tables = sorted(folder.glob("UCSF-PDGM-metadata*.csv"))
    rows = read_table(tables[0], "ID") if tables else {}
    found = {}
    for name, row in rows.items():
        grade = row.get("WHO CNS Grade", "")
        if grade and re.search(r"\d", name):
            found[_number(name)] = f"grade {grade}"
    return found


def _number(patient: str) -> int:
    return int(re.findall(r"\d+", patient)[0])
