"""UPENN-GBM (TCIA, CC BY 4.0): Bakas et al., Scientific Data 9:453, 2022.

Volumes are skull-stripped and co-registered on the SRI-24 atlas (240 × 240 × 155, 1 mm). There is no ADC map, but the
trace of the diffusion tensor (`DTI_TR`): the tool of the same institution, CaPTk, writes λ₁ + λ₂ + λ₃, in mm²/s. Its
third part is the mean diffusivity, which stands for ADC. `DSC_ap-rCBV` is rCBV without leakage correction, scaled per
subject; it is divided by its mean in white matter here.
"""

from __future__ import annotations

import re
from pathlib import Path

from HierSynthLib.case import Case, Role
from Training.datasets.cohort import Cohort, Exclusion, Subject, Target
from Training.datasets.layout import absent_sequences, folders, image, images, unusable

LAYOUT = (
    "NIfTI-files/images_structural/<ID>/<ID>_T1.nii.gz, images_DSC/<ID>/…, images_DTI/<ID>/… or "
    "images_DTI/images_DTI/<ID>/… with <ID> = UPENN-GBM-NNNNN_11 or _21."
)

LABELS = {1: "necrotic core", 2: "oedema", 4: "enhancing tumour"}
_ID = re.compile(r"(UPENN-GBM-\d{5})_(\d\d)")
_WORDS = "ap-rCBV: uncorrected for leakage, scaled per subject; divided by white matter"


def find(folder: Path, cbv: str = "map") -> Cohort:
    """The examinations in a copy of the data set; `cbv` is "map" (ap-rCBV) or "dsc" (computed from the series)."""
    base = folder / "NIfTI-files" if (folder / "NIfTI-files").is_dir() else folder
    structural = base / "images_structural"
    notes = (
        "All patients have a glioblastoma.",
        "ADC is the mean diffusivity, a third of the trace of the diffusion tensor.",
        "The segmentations are those of experts where there are any, and automatic ones otherwise.",
    )
    places = folders(structural) if structural.is_dir() else ()
    return Cohort.of("upenn-gbm", (_examination(base, place.name, cbv) for place in places), notes)


def _examination(base: Path, name: str, cbv: str) -> Subject | Exclusion:
    match = _ID.fullmatch(name)
    if not match:
        return Exclusion(name, "Its name is not UPENN-GBM-NNNNN_11 or _21.")
    return _subject(base, name, match[1], cbv)


def _place(kind: Path, name: str, *stems: str) -> Path:
    """The folder of an examination that has one of the images; in the download, some are one folder deeper."""
    places = [kind / name, kind / kind.name / name]
    places += [place / name for place in places]
    found = (place for place in places if any(image(place, f"{name}_{stem}") for stem in stems))
    return next(found, places[0])


def _subject(base: Path, name: str, patient: str, cbv: str) -> Subject | Exclusion:
    files = images(
        base / "images_structural" / name,
        {Role.T1: f"{name}_T1", Role.T2: f"{name}_T2", Role.FLAIR: f"{name}_FLAIR", Role.T1CE: f"{name}_T1GD"},
    )
    dsc = _place(base / "images_DSC", name, "DSC_ap-rCBV", "DSC")
    dti = _place(base / "images_DTI", name, "DTI_TR")
    files |= images(dti, {Role.ADC: f"{name}_DTI_TR"})
    files |= images(dsc, {Role.CBV_ACQUIRED: f"{name}_DSC_ap-rCBV", Role.DSC: f"{name}_DSC"})
    drawn = image(base / "images_segm", f"{name}_segm")
    roi = drawn or image(base / "automated_segm", f"{name}_automated_approx_segm")
    if roi:
        files[Role.ROI] = roi
    target, wanted = None, "ap-rCBV map" if cbv == "map" else "DSC series"
    if cbv == "map" and Role.CBV_ACQUIRED in files:
        target = Target("map", "white matter", registered=True, words=_WORDS)
    elif cbv == "dsc" and Role.DSC in files:
        # It is said of the maps only that they lie on the atlas.
        target = Target("dsc", "white matter", words="computed from the DSC series")
    reason = unusable(files, target, wanted)
    if reason or target is None:
        return Exclusion(name, reason)
    extra = {"AD": image(dti, f"{name}_DTI_AD"), "RD": image(dti, f"{name}_DTI_RD")}
    absent = absent_sequences(files) + (() if roi else ("There is no segmentation.",))
    return Subject(
        name,
        patient,
        Case(name, files, {Role.ADC: "mm²/s"}, LABELS if roi else {}),
        target,
        group="glioblastoma",
        diffusion="trace",
        extra={key: path for key, path in extra.items() if path is not None},
        absent=absent,
    )
