"""Folders in the layouts of public data sets, filled with a small simulated patient by independent writers.

Arrays are written by nibabel and pydicom, so that nothing that HierSynth writes is read back by HierSynth.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import nibabel
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

from HierSynthLib.case import Role
from HierSynthLib.phantom import Phantom, make_phantom


@dataclass(frozen=True)
class Images:
    """Arrays of one patient on one grid, and its affine."""

    affine: NDArray[np.float64]
    T1: NDArray[np.float32]
    T2: NDArray[np.float32]
    FLAIR: NDArray[np.float32]
    ADC: NDArray[np.float32]
    CBV: NDArray[np.float32]
    ROI: NDArray[np.uint8]
    brain: NDArray[np.uint8]


@cache
def small_phantom() -> Phantom:
    """A patient with a high-grade lesion at 3 mm, without motion and without a DSC series; do not change it."""
    return make_phantom(3, "high", "small", misalignment=False, dsc=False)


@cache
def stripped() -> Images:
    """The patient without skull, everything on one grid; ADC in 10⁻³ mm²/s, CBV in nrCBV; do not change it."""
    volumes = small_phantom().volumes
    brain = volumes[Role.BRAIN].array
    inside = {role: (volumes[role].array * brain).astype(np.float32) for role in Role if role in volumes}
    return Images(
        volumes[Role.T1].affine,
        *(inside[role] for role in (Role.T1, Role.T2, Role.FLAIR, Role.ADC, Role.CBV_TRUE)),
        volumes[Role.ROI].array,
        brain,
    )


def glioma_labels(images: Images) -> NDArray[np.uint8]:
    """The segmentation with the labels 1, 2 and 4 of the BraTS convention, without the reference of the phantom."""
    names = small_phantom().labels
    codes = {"necrosis": 1, "oedema": 2}
    labels = np.zeros(images.ROI.shape, np.uint8)
    for value, name in names.items():
        if name != "NAWM reference":
            labels[value == images.ROI] = next((code for word, code in codes.items() if word in name.lower()), 4)
    return labels


def save_nifti(path: Path, array: NDArray, affine: NDArray[np.float64]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array, affine), path)
    return path


def another(array: NDArray, number: int) -> NDArray:
    """The same picture with other values, so that it counts as another patient's."""
    return (array * (1 + 0.01 * number)).astype(array.dtype)


def write_upenn(folder: Path, names: list[str], *, cbv_scale: float = 137.0, trace_units: float = 1e-3) -> Path:
    """The four kinds of folders; axial diffusivity is 1.2, radial 0.9 times the mean."""
    images, base = stripped(), folder / "NIfTI-files"
    for number, name in enumerate(names):
        for stem, array in (("T1", images.T1), ("T2", images.T2), ("FLAIR", images.FLAIR), ("T1GD", images.T1)):
            place = base / "images_structural" / name / f"{name}_{stem}.nii.gz"
            save_nifti(place, another(array, number), images.affine)
        mean = images.ADC * np.float32(trace_units)
        tensor = {"TR": 3 * mean, "AD": 1.2 * mean, "RD": 0.9 * mean, "FA": 0 * mean + 0.15}
        for stem, array in tensor.items():
            place = base / "images_DTI" / name / f"{name}_DTI_{stem}.nii.gz"
            save_nifti(place, another(array.astype(np.float32), number), images.affine)
        place = base / "images_DSC" / name / f"{name}_DSC_ap-rCBV.nii.gz"
        save_nifti(place, another(images.CBV, number) * np.float32(cbv_scale), images.affine)
        save_nifti(base / "images_segm" / f"{name}_segm.nii.gz", glioma_labels(images), images.affine)
    return folder


def write_ucsf(folder: Path, names: list[str], grade: str = "4") -> Path:
    images = stripped()
    for number, name in enumerate(names):
        arrays = {"T1": images.T1, "T2": images.T2, "FLAIR": images.FLAIR, "ADC": images.ADC * 1000, "ASL": images.T1}
        for stem, array in arrays.items():
            place = folder / f"{name}_nifti" / f"{name}_{stem}.nii.gz"
            save_nifti(place, another(array, number), images.affine)
        labels = folder / f"{name}_nifti" / f"{name}_tumor_segmentation.nii.gz"
        save_nifti(labels, glioma_labels(images), images.affine)
        save_nifti(folder / f"{name}_nifti" / f"{name}_brain_segmentation.nii.gz", images.brain, images.affine)
    lines = [f"UCSF-PDGM-{int(name[10:14]):03d},M,{grade}" for name in names]
    (folder / "UCSF-PDGM-metadata_v2.csv").write_text("\n".join(["ID,Sex,WHO CNS Grade", *lines]) + "\n")
    return folder


def write_isles(folder: Path, number: int, spacing: int = 1) -> Path:
    """One case whose grid is every `spacing`-th slice of the phantom's, ADC in 10⁻⁶ mm²/s."""
    images = stripped()
    affine = images.affine @ np.diag([1, 1, spacing, 1])
    arrays = {"MR_ADC": images.ADC * 1000, "MR_rCBV": images.CBV * 31, "MR_Tmax": images.T1, "OT": images.ROI == 2}
    for token, (name, array) in enumerate(arrays.items()):
        stem = f"VSD.Brain.XX.O.{name}.{128000 + 10 * number + token}"
        place = folder / f"training_{number}" / stem / f"{stem}.nii"
        values = array.astype(np.uint8) if name == "OT" else another(array, number)
        save_nifti(place, values[:, :, ::spacing], affine)
    return folder


SHIFT_MM = (6.0, -4.0, 3.0)
"""How far the patient moved before the CBV map of `write_bids`."""


def write_bids(folder: Path, subjects: dict[str, list[str]]) -> Path:
    """Sessions by subject; the CBV map on a smaller grid of its own, after a movement of the patient."""
    images = stripped()
    rows = ["participant_id\tgrade\tsite"]
    for number, (subject, sessions) in enumerate(subjects.items()):
        rows.append(f"{subject}\t{'high' if number % 2 else 'low'}\tA")
        for session in sessions or [""]:
            place = folder / subject / session if session else folder / subject
            stem = f"{subject}_{session}" if session else subject
            factor = number * 10 + len(session)
            for kind, suffix, array in (
                ("anat", "T1w", images.T1),
                ("anat", "T2w", images.T2),
                ("anat", "FLAIR", images.FLAIR),
                ("dwi", "ADC", images.ADC),
            ):
                save_nifti(place / kind / f"{stem}_{suffix}.nii.gz", another(array, factor), images.affine)
            save_nifti(place / "anat" / f"{stem}_ce-gadolinium_T1w.nii.gz", images.T1, images.affine)
            save_nifti(place / "anat" / f"{stem}_label-lesion_mask.nii.gz", glioma_labels(images), images.affine)
            moved = images.affine @ np.block([[np.eye(3), np.full((3, 1), 2)], [np.zeros((1, 3)), np.ones((1, 1))]])
            moved[:3, 3] += SHIFT_MM
            cropped = another(images.CBV, factor)[2:-2, 2:-2, 2:-2]
            save_nifti(place / "perf" / f"{stem}_cbv.nii.gz", cropped, moved)
            (place / "perf" / f"{stem}_cbv.json").write_text(json.dumps({"Units": "nrCBV"}))
    (folder / "participants.tsv").write_text("\n".join(rows) + "\n")
    return folder


def halved(array: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Means of 2 × 2 × 2 voxels of an array on the phantom's grid, and their affine."""
    i, j, k = (n // 2 for n in array.shape)
    means = array[: 2 * i, : 2 * j, : 2 * k].astype(float).reshape(i, 2, j, 2, k, 2).mean(axis=(1, 3, 5))
    affine = stripped().affine.copy()
    affine[:3, 3] += affine[:3, :3] @ [0.5, 0.5, 0.5]
    affine[:3, :3] *= 2
    return means, affine


def write_dsc(
    path: Path,
    te_s: float = 0.03,
    tr_s: float = 1.5,
    frames: int = 50,
    timing: bool = True,
    shift_mm: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> Path:
    """A DSC series of the patient at 6 mm without noise: ΔR2* is a gamma-variate in proportion to the CBV.

    With `shift_mm`, the patient has moved before it.

    The bolus is that of Rosen et al. (Magn Reson Med 14:249, 1990): (t − t0)³ exp(−(t − t0)/1.5 s).
    """
    images = stripped()
    cbv, affine = halved(images.CBV)
    affine[:3, 3] += shift_mm
    late = np.maximum(np.arange(frames) * tr_s - 20.0, 0)
    bolus = late**3 * np.exp(-late / 1.5)
    drop = cbv[..., None] * (2.5 * bolus / bolus.max())
    level = np.where(halved(images.brain)[0] > 0.5, 400 + halved(images.T2)[0] / 4, 0)
    save_nifti(path, (level[..., None] * np.exp(-te_s * drop)).astype(np.float32), affine)
    if timing:
        sidecar = path.with_name(path.name.split(".")[0] + ".json")
        sidecar.write_text(json.dumps({"EchoTime": te_s, "RepetitionTime": tr_s}))
    return path


def write_series(folder: Path, array: NDArray, affine: NDArray[np.float64], **tags: str) -> Path:
    """A DICOM series with one file per slice; values are stored as uint16 with a rescale slope."""
    folder.mkdir(parents=True, exist_ok=True)
    slope = float(f"{max(float(array.max()), 1) / 60000:.10g}") if array.dtype.kind == "f" else 1.0
    lps = np.diag([-1.0, -1.0, 1.0])
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    series = generate_uid()
    for k in range(array.shape[2]):
        image = Dataset()
        image.file_meta = FileMetaDataset()
        image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID = MRImageStorage
        image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        image.SeriesInstanceUID, image.InstanceNumber, image.Modality = series, k + 1, "MR"
        for name, value in tags.items():
            setattr(image, name, value)
        axes = lps @ affine[:3, :3] / spacing
        image.ImageOrientationPatient = [f"{v:.8g}" for v in (*axes[:, 0], *axes[:, 1])]
        image.ImagePositionPatient = [f"{v:.8g}" for v in lps @ (affine[:3, :3] @ [0, 0, k] + affine[:3, 3])]
        image.PixelSpacing = [f"{spacing[1]:.8g}", f"{spacing[0]:.8g}"]
        image.SliceThickness = f"{spacing[2]:.8g}"
        image.RescaleSlope, image.RescaleIntercept = f"{slope:.10g}", "0"
        image.Rows, image.Columns = array.shape[1], array.shape[0]
        image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
        image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 16, 15, 0
        image.PixelData = np.rint(array[:, :, k].T / slope).astype("<u2").tobytes()
        image.save_as(folder / f"1-{k + 1:02d}.dcm", enforce_file_format=True)
    return folder


def write_progression(folder: Path, patient: str, studies: dict[str, int]) -> Path:
    """Studies of one patient with the series of the collection, under folder names as TCIA's downloader makes them.

    For each date, every how many slices of the phantom's grid are written.
    """
    images = stripped()
    for number, (date, spacing) in enumerate(studies.items()):
        affine = images.affine @ np.diag([1, 1, spacing, 1])
        study, factor = generate_uid(), number + int(patient[-3:])
        for order, (description, array) in enumerate(
            (
                ("T1prereg", images.T1),
                ("T1post", images.T1),
                ("T2reg", images.T2),
                ("FLAIRreg", images.FLAIR),
                ("ADCreg", images.ADC * 1000),
                ("nRCBVreg", images.CBV * 100),
                ("sRCBVreg", images.CBV * 999),
                ("MaskTumor", (glioma_labels(images) > 0).astype(np.uint8)),
            ),
        ):
            values = array if description == "MaskTumor" else another(array, factor)
            place = folder / patient / f"{date}-NA-BRAIN-{study[-5:]}" / f"{order}.000000-{description}-{order:05d}"
            tags = {"PatientID": patient, "StudyInstanceUID": study, "StudyDate": date}
            write_series(place, values[:, :, ::spacing], affine, SeriesDescription=description, **tags)
    return folder
