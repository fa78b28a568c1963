"""DICOM series folders: one file per slice.

Geometry and attributes follow DICOM PS3.3 C.7.6.2 (Image Plane Module) and C.8.3.1 (MR Image Module).
"""

from __future__ import annotations

import hashlib
import locale
import struct
import warnings
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from HierSynthLib.errors import InputError, OutputError
from HierSynthLib.files import atomic_folder
from HierSynthLib.formats.common import COPY_AGAIN, EXPORT_AGAIN, LPS, Image, checked_affine

if TYPE_CHECKING:
    from HierSynthLib.volume import Volume

T = TypeVar("T")

_SAME_POSITION_MM = 0.01
_DIRECTORY = "Media Storage Directory Storage"  # a DICOMDIR
_LARGEST = 32767
_PIXEL_DATA = b"\xe0\x7f\x10\x00"
_END_OF_FRAGMENTS = b"\xfe\xff\xdd\xe0"  # PS3.5 A.4, sequence delimitation item
_MOSAIC_CREATOR, _MOSAIC_COUNT = (0x0019, 0x0010), (0x0019, 0x100A)  # block of Siemens's MR header, and in it
_CONVERT = "Convert the series to NIfTI, for example with dcm2niix or 3D Slicer."
_ONE_SERIES = "Give a folder that holds the files of one series, each slice in its own file."


def read_dicom_series(folder: Path) -> Image:
    """Array and affine of the one series in a folder; other files and sub-folders are ignored.

    Slices are ordered along the normal of the slice plane. Where every slice position occurs several times (a perfusion
    series), the repetitions become frames in the order of their acquisition. The array has the stored data type, or
    float32 where rescale slope and intercept apply.

    Args:
        folder: the folder with the DICOM files.

    Returns:
        The array (i, j, k[, frame]), i along the rows of the image, and the (4, 4) affine to RAS mm.

    Raises:
        InputError: no DICOM images or those of several series; missing slices, varying distances, sizes or
            orientations; truncated or undecodable pixel data; enhanced multi-frame, mosaic or colour images.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom warns about every harmless departure from the standard
        images = _one_series(_images(folder), folder)
        _check_alike(images, folder)
        try:
            rows, columns = _numbers(images[0].ImageOrientationPatient).reshape(2, 3)
            positions = np.array([_numbers(image.ImagePositionPatient) for image in images]).reshape(len(images), 3)
            row_distance, column_distance = _numbers(images[0].PixelSpacing)
        except (AttributeError, TypeError, ValueError) as error:
            raise InputError(
                f"{folder} holds images without position, orientation or pixel size.", EXPORT_AGAIN
            ) from error
        slices = _slices(images, positions @ np.cross(rows, columns), folder)
        first, last = positions[slices[0][0]], positions[slices[-1][0]]
        if len(slices) > 1:
            step = (last - first) / (len(slices) - 1)
        else:
            step = np.cross(rows, columns) * _attribute(images[0], "SliceThickness", float, 1.0)
        linear = np.stack([rows * column_distance, columns * row_distance, step], axis=1)
        affine = checked_affine(LPS[:3, :3] @ linear, LPS[:3, :3] @ first, folder)
        values = [np.stack([_values(images[number]) for number in numbers], axis=-1) for numbers in slices]
    array = np.stack(values, axis=2)
    return (array[..., 0] if array.shape[3] == 1 else array), affine


def write_dicom_series(
    volume: Volume,
    folder: Path,
    *,
    case_id: str,
    description: str,
    synthetic: bool = False,
    series_number: int = 1,
    overwrite: bool = False,
) -> None:
    """Write a 3-D volume as a series of MR images, whole or not at all.

    Values are stored as int16 with a rescale slope: whole numbers within its range exactly, others with an error of at
    most 1/65534 of the largest magnitude. The same arguments give the same bytes; all series of a case are in one study
    and one frame of reference. No patient data and no contrast agent attributes are written.

    Args:
        volume: (i, j, k); its units go to Rescale Type.
        folder: the new folder, with one file per slice.
        case_id: a neutral identifier, written as patient's name and ID.
        description: Series Description, at most 64 characters; it says "SYNTHETIC" where the caller says so.
        synthetic: write Synthetic Data (0008,001C) = YES.
        series_number: Series Number.
        overwrite: whether an existing folder may be replaced.

    Raises:
        OutputError: the volume holds NaN or infinite values, the folder is not empty, or it cannot be written.
        ValueError: the volume is not 3-D.
    """
    if volume.array.ndim != 3:
        raise ValueError(f"A DICOM series needs a 3-D volume, not one with shape {volume.array.shape}.")
    stored, slope = _stored(volume.array, folder)
    content = hashlib.sha256(stored.tobytes() + volume.affine.tobytes()).hexdigest()
    series = _uid(case_id, "series", description, content)
    axes = (LPS[:3, :3] @ volume.direction).round(12)  # without denormal numbers, on which ITK's readers choke
    with atomic_folder(folder, overwrite=overwrite) as temporary:
        for k in range(volume.grid[2]):
            image = _new_image(stored[:, :, k].T, case_id)
            image.SOPInstanceUID = _uid(series, str(k))
            image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
            image.SeriesInstanceUID = series
            image.SeriesNumber = series_number
            image.SeriesDescription = description[:64]
            image.InstanceNumber = k + 1
            image.ImagePositionPatient = _decimals(LPS[:3, :3] @ volume.positions([0, 0, k]))
            image.ImageOrientationPatient = _decimals([*axes[:, 0], *axes[:, 1]])
            image.PixelSpacing = _decimals(volume.spacing[[1, 0]])
            image.SliceThickness, image.SpacingBetweenSlices = _decimals(volume.spacing[[2, 2]])
            image.RescaleIntercept, image.RescaleSlope = "0", slope
            image.RescaleType = volume.units[:16] or "US"  # US: unspecified
            if synthetic:
                image.SyntheticData = "YES"
            image.save_as(temporary / f"IM{k + 1:04d}.dcm", enforce_file_format=True)


def _images(folder: Path) -> list[Any]:
    """The image objects among the files of a folder; copies of the same image count once."""
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError

    images = {}
    for path in sorted(folder.iterdir()):
        if not path.is_file():
            continue
        try:
            image = dcmread(path)
            kind = image.file_meta.MediaStorageSOPClassUID.name
        except InvalidDicomError as error:
            if path.suffix.lower() == ".dcm":
                raise InputError(f"{path} is not a DICOM file, although its name says so.", COPY_AGAIN) from error
            continue
        except (OSError, EOFError, ValueError, AttributeError, KeyError, struct.error) as error:
            raise InputError(f"{path} is cut off or cannot be read as DICOM.", COPY_AGAIN) from error
        if "PixelData" in image:
            images[str(image.get("SOPInstanceUID", path))] = image
        elif "Image Storage" in kind or ("SOPInstanceUID" not in image and kind != _DIRECTORY):
            # pydicom gives what it could read of a truncated file.
            raise InputError(f"{path} is cut off: it has no pixel data.", COPY_AGAIN)
    if not images:
        raise InputError(f"The folder {folder} holds no DICOM images.", _ONE_SERIES)
    return list(images.values())


def _one_series(images: list[Any], folder: Path) -> list[Any]:
    series: dict[str, list[Any]] = {}
    for image in images:
        series.setdefault(str(image.get("SeriesInstanceUID", "")), []).append(image)
    if len(series) > 1:
        contents = "; ".join(
            f"{group[0].get('SeriesDescription', 'unnamed')}, {len(group)} images" for group in series.values()
        )
        raise InputError(f"The folder {folder} holds {len(series)} series ({contents}).", _ONE_SERIES)
    return images


def _check_alike(images: list[Any], folder: Path) -> None:
    if any(_attribute(image, name, int, 1) > 1 for image in images for name in ("NumberOfFrames", "SamplesPerPixel")):
        raise InputError(
            f"The folder {folder} holds enhanced multi-frame or colour images, which are not supported.",
            _CONVERT,
        )
    if any(_is_mosaic(image) for image in images):
        raise InputError(
            f"The folder {folder} holds Siemens mosaics, all slices of a volume in one image, which are not supported.",
            _CONVERT,
        )
    first = images[0]
    for image in images:
        if not all(name in image for name in ("ImageOrientationPatient", "PixelSpacing")):
            raise InputError(f"{image.filename} has no orientation or pixel size.", EXPORT_AGAIN)
        if not np.allclose(_plane(image), _plane(first), atol=1e-3):
            raise InputError(f"The images in {folder} differ in size or orientation.", _ONE_SERIES)


def _is_mosaic(image: Any) -> bool:
    """Whether an image shows all slices side by side: by its type, or by Siemens's Number of Images in Mosaic."""
    kinds = [str(kind).upper() for kind in (image.get("ImageType") or ())]
    creator = str(getattr(image.get(_MOSAIC_CREATOR), "value", "") or "SIEMENS")
    return "MOSAIC" in kinds or (_MOSAIC_COUNT in image and creator.startswith("SIEMENS"))


def _plane(image: Any) -> NDArray[np.float64]:
    """Size, orientation and pixel size of an image: 10 numbers."""
    size = [_attribute(image, name, int) for name in ("Rows", "Columns")]
    orientation = _attribute(image, "ImageOrientationPatient", lambda values: _numbers(values).reshape(6))
    spacing = _attribute(image, "PixelSpacing", lambda values: _numbers(values).reshape(2))
    return np.concatenate([size, orientation, spacing])


def _numbers(values: Any) -> NDArray[np.float64]:
    return np.array([float(value) for value in values])


def _attribute(image: Any, name: str, convert: Callable[[Any], T], default: object = None) -> T:
    """An attribute in the type that is needed; `default` where it is absent, empty or 0.

    Raises:
        InputError: it cannot be converted.
    """
    try:
        return convert(image.get(name) or default)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{image.filename} has no usable {name}.", EXPORT_AGAIN) from error


def _slices(images: list[Any], heights: NDArray[np.float64], folder: Path) -> list[list[int]]:
    """Numbers of the images at each slice position, bottom to top, repetitions in the order of acquisition."""
    order = np.argsort(heights, kind="stable")
    breaks = np.flatnonzero(np.diff(heights[order]) > _SAME_POSITION_MM) + 1
    groups = [group.tolist() for group in np.split(order, breaks)]
    if len({len(group) for group in groups}) > 1:
        raise InputError(
            f"In {folder}, images are missing: slice positions occur a different number of times.", COPY_AGAIN
        )
    levels = [float(heights[group[0]]) for group in groups]
    steps = np.array([upper - lower for lower, upper in pairwise(levels)])
    usual = float(np.percentile(steps, 50, method="lower")) if len(steps) else 0.0
    if len(steps) and np.abs(steps - usual).max() > max(0.05, 0.02 * usual):
        where = int(np.argmax(np.abs(steps - usual)))
        raise InputError(
            f"In {folder}, slices are missing or unevenly spaced: {steps[where]:.2f} mm between slices {where + 1} and "
            f"{where + 2}, {usual:.2f} mm elsewhere.",
            COPY_AGAIN,
        )
    return [sorted(group, key=lambda number: acquisition_order(images[number])) for group in groups]


def acquisition_order(image: Any) -> tuple[int, ...]:
    """By what the images at one slice position are sorted.

    Raises:
        InputError: one of these attributes is no number.
    """
    names = ("TemporalPositionIdentifier", "AcquisitionNumber", "InstanceNumber")
    return tuple(_attribute(image, name, int, 0) for name in names)


def _values(image: Any) -> NDArray[Any]:
    """Values of one image, (i, j), rescaled."""
    slope, intercept = _attribute(image, "RescaleSlope", float, 1), _attribute(image, "RescaleIntercept", float, 0)
    try:
        if image.file_meta.TransferSyntaxUID.is_compressed:
            return _decompressed(Path(image.filename))
        pixels: NDArray[Any] = image.pixel_array.T
    except (AttributeError, ValueError, NotImplementedError) as error:
        raise InputError(f"{image.filename} is cut off or has unusable pixel data.", COPY_AGAIN) from error
    if (slope, intercept) != (1, 0):
        pixels = (pixels * slope + intercept).astype(np.float32)
    return pixels


def _decompressed(path: Path) -> NDArray[Any]:
    """Values of one compressed image, (i, j), decoded and rescaled by GDCM, which knows the JPEG family."""
    import SimpleITK as sitk

    data = path.read_bytes()
    if _END_OF_FRAGMENTS not in data[data.rfind(_PIXEL_DATA) :]:  # GDCM would fill up what is missing without a word
        raise InputError(f"{path} is cut off.", COPY_AGAIN)
    # Both are of the whole process, so they are put back: the switch for warnings, and the locale that GDCM changes.
    shown, spoken = sitk.ProcessObject.GetGlobalWarningDisplay(), locale.setlocale(locale.LC_ALL)
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        array: NDArray[Any] = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))[0].T
    except RuntimeError as error:
        raise InputError(f"{path} is damaged or compressed in an unknown way.", EXPORT_AGAIN) from error
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(shown)
        locale.setlocale(locale.LC_ALL, spoken)
    return array.astype(np.float32) if array.dtype == np.float64 else array


def _stored(array: NDArray[Any], folder: Path) -> tuple[NDArray[np.int16], str]:
    """Values as int16, and the slope as a decimal string that turns them back; 0 stays 0."""
    if not np.isfinite(array).all():
        raise OutputError(
            f"{folder} cannot be written: the volume has values that are not finite.", "Repair the volume."
        )
    largest = max(abs(float(array.max())), abs(float(array.min())))
    if largest == 0 or (array.dtype.kind in "biu" and largest <= _LARGEST):
        return array.astype(np.int16), "1"
    slope = f"{largest / _LARGEST:.8e}"
    return np.clip(np.rint(array / float(slope)), -_LARGEST, _LARGEST).astype(np.int16), slope


def _new_image(pixels: NDArray[np.int16], case_id: str) -> Any:
    """An MR image without place in the series: pixels are (row, column)."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID = MRImageStorage
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.SpecificCharacterSet = "ISO_IR 192"
    image.ImageType = ["DERIVED", "PRIMARY", "OTHER"]
    image.Modality = "MR"
    image.Manufacturer = "HierSynth"
    image.PatientName = image.PatientID = case_id
    image.StudyInstanceUID = _uid(case_id, "study")
    image.FrameOfReferenceUID = _uid(case_id, "frame of reference")
    image.ScanningSequence, image.SequenceVariant = "RM", "NONE"  # research mode: no scanner made these values
    for empty in (
        "StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName", "PatientBirthDate",
        "PatientSex", "ScanOptions", "MRAcquisitionType", "EchoTime", "EchoTrainLength", "RepetitionTime",
        "PositionReferenceIndicator",
    ):  # fmt: skip
        setattr(image, empty, None)
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.Rows, image.Columns = pixels.shape
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 16, 15, 1
    image.PixelData = pixels.astype("<i2").tobytes()
    return image


def _decimals(values: Any) -> list[str]:
    """Decimal strings of at most 16 characters (DICOM PS3.5 6.2)."""
    from pydicom.valuerep import format_number_as_ds

    return [format_number_as_ds(float(value)) for value in values]


def _uid(*sources: str) -> str:
    """A unique identifier that the same sources always give."""
    from pydicom.uid import generate_uid

    return str(generate_uid(entropy_srcs=list(sources)))
