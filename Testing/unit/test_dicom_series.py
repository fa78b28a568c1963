"""DICOM series: read and written with the right geometry, checked with SimpleITK (GDCM) and pydicom."""

import locale
import shutil
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from HierSynthLib.dicom_series import write_dicom_series
from HierSynthLib.errors import InputError, OutputError
from HierSynthLib.volume import Volume, read_volume
from Testing.sitk_images import to_sitk


@pytest.fixture(autouse=True)
def same_locale():
    """GDCM, which these tests use for comparison, changes the locale of the whole process."""
    before = locale.setlocale(locale.LC_ALL)
    yield
    locale.setlocale(locale.LC_ALL, before)


VALUES = np.random.default_rng(3).gamma(2, 1, size=(6, 5, 4)).astype(np.float32)
VALUES[0] = 0


def oblique(angles: tuple[float, float, float], spacing: tuple[float, float, float]) -> np.ndarray:
    transform = sitk.Euler3DTransform()
    transform.SetRotation(*angles)
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(transform.GetMatrix(), (3, 3)) * spacing
    affine[:3, 3] = (-80.25, 33.5, 12.125)
    return affine


OBLIQUE = oblique((0.3, -0.2, 0.5), (0.9, 1.1, 5.0))


def write(folder: Path, volume: Volume | None = None, **more: object) -> None:
    volume = volume or Volume(VALUES, OBLIQUE, "nrCBV")
    write_dicom_series(volume, folder, case_id="case-7", description="CBV - RESEARCH", **more)


def read_with_gdcm(folder: Path) -> sitk.Image:
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    return reader.Execute()


def value_at(volume: Volume, point: np.ndarray) -> float:
    i, j, k = volume.indices(point).round().astype(int)
    return float(volume.array[i, j, k])


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.tuples(*[st.floats(-3, 3)] * 3),
    st.tuples(*[st.floats(0.4, 6)] * 3),
    st.tuples(*[st.sampled_from([-1, 1])] * 3),
)
def test_every_voxel_keeps_its_place_and_value(
    tmp_path: Path,
    angles: tuple[float, float, float],
    spacing: tuple[float, float, float],
    flips: tuple[int, int, int],
) -> None:
    affine = oblique(angles, spacing)
    affine[:3, :3] *= flips
    volume = Volume(VALUES, affine)
    write(tmp_path / "series", volume, overwrite=True)
    back, image = read_volume(tmp_path / "series"), read_with_gdcm(tmp_path / "series")
    half_a_step = VALUES.max() / 32767 / 2 * 1.01
    for index in product((0, 3), range(5), range(4)):  # two planes; the rest follows because the grid is regular
        point = volume.positions(index)
        assert np.linalg.norm(back.positions(back.indices(point).round()) - point) < 1e-3
        assert abs(value_at(back, point) - VALUES[index]) <= half_a_step
        there = image.TransformPhysicalPointToIndex((point * (-1, -1, 1)).tolist())
        assert abs(image[there] - VALUES[index]) <= half_a_step
    assert np.count_nonzero(back.array == 0) == np.count_nonzero(VALUES == 0)


def test_whole_numbers_are_stored_exactly_and_keep_their_type(tmp_path: Path) -> None:
    labels = np.arange(60, dtype=np.int16).reshape(5, 4, 3) * -500
    write(tmp_path / "series", Volume(labels, np.diag([1, 2, 3, 1.0])))
    volume = read_volume(tmp_path / "series")
    assert volume.array.dtype == np.int16
    # The image plane of DICOM is LPS: this grid's normal points up, so the order of slices is kept.
    assert np.array_equal(volume.array, labels)
    np.testing.assert_allclose(volume.affine, np.diag([1, 2, 3, 1.0]), atol=1e-9)


def test_the_attributes_are_neutral_and_say_what_the_caller_says(tmp_path: Path) -> None:
    write(tmp_path / "plain", series_number=3)
    write(tmp_path / "synthetic", synthetic=True)
    files = sorted((tmp_path / "plain").iterdir())
    images = [pydicom.dcmread(file) for file in files]
    first = images[0]
    assert len(images) == 4
    assert (str(first.PatientName), first.PatientID, first.PatientBirthDate) == ("case-7", "case-7", "")
    assert (first.Modality, first.SeriesDescription, first.SeriesNumber) == ("MR", "CBV - RESEARCH", 3)
    assert first.RescaleType == "nrCBV"
    assert "SyntheticData" not in first
    assert "ContrastBolusAgent" not in first
    assert [image.InstanceNumber for image in images] == [1, 2, 3, 4]
    assert len({image.SOPInstanceUID for image in images}) == 4
    assert len({image.SeriesInstanceUID for image in images}) == 1
    assert all(image.SOPInstanceUID == image.file_meta.MediaStorageSOPInstanceUID for image in images)
    other = pydicom.dcmread(tmp_path / "synthetic" / "IM0001.dcm")
    assert other[0x0008, 0x001C].value == "YES"
    assert other.StudyInstanceUID == first.StudyInstanceUID
    assert other.FrameOfReferenceUID == first.FrameOfReferenceUID


def test_the_same_volume_gives_the_same_bytes_and_another_one_other_identifiers(tmp_path: Path) -> None:
    write(tmp_path / "one")
    write(tmp_path / "two")
    write(tmp_path / "other", Volume(VALUES + 1, OBLIQUE))
    for file in (tmp_path / "one").iterdir():
        assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes()
    uids = {pydicom.dcmread(tmp_path / name / "IM0001.dcm").SeriesInstanceUID for name in ("one", "other")}
    assert len(uids) == 2


def test_a_series_written_by_gdcm_is_read(tmp_path: Path) -> None:
    image = sitk.Cast(to_sitk(Volume(VALUES * 1000, OBLIQUE)), sitk.sitkInt16)
    write_with_gdcm(image, tmp_path)
    volume = read_volume(tmp_path)
    again = read_with_gdcm(tmp_path)
    assert np.array_equal(volume.array, sitk.GetArrayFromImage(again).T)
    np.testing.assert_allclose(volume.affine, OBLIQUE, atol=1e-4)


@pytest.mark.parametrize("compressor", ["JPEG", "JPEG2000"])
def test_a_compressed_series_is_read(tmp_path: Path, capfd: pytest.CaptureFixture[str], compressor: str) -> None:
    array = np.random.default_rng(8).integers(-900, 900, (64, 48, 3)).astype(np.int16)
    spoken = locale.setlocale(locale.LC_ALL)
    write_with_gdcm(to_sitk(Volume(array)), tmp_path, compressor)
    locale.setlocale(locale.LC_ALL, spoken)
    assert pydicom.dcmread(tmp_path / "0.dcm").file_meta.TransferSyntaxUID.is_compressed
    shown = sitk.ProcessObject.GetGlobalWarningDisplay()
    assert np.array_equal(np.sort(read_volume(tmp_path).array, axis=None), np.sort(array, axis=None))
    assert sitk.ProcessObject.GetGlobalWarningDisplay() == shown
    assert locale.setlocale(locale.LC_ALL) == spoken
    cut_pixels(tmp_path, "1.dcm")
    with pytest.raises(InputError, match=r"1\.dcm"):
        read_volume(tmp_path)
    assert capfd.readouterr() == ("", "")


def write_with_gdcm(image: sitk.Image, folder: Path, compressor: str = "") -> None:
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    if compressor:
        writer.UseCompressionOn()
        writer.SetCompressor(compressor)
    direction = np.reshape(image.GetDirection(), (3, 3))
    for k in range(image.GetDepth()):
        plane = image[:, :, k : k + 1]
        plane.SetMetaData("0008|0060", "MR")
        plane.SetMetaData("0020|000e", "1.2.3.4")
        plane.SetMetaData("0008|0018", f"1.2.3.4.{k + 1}")
        plane.SetMetaData("0020|0013", str(k + 1))
        plane.SetMetaData("0020|0032", "\\".join(map(str, image.TransformIndexToPhysicalPoint((0, 0, k)))))
        plane.SetMetaData("0020|0037", "\\".join(map(str, direction[:, :2].T.ravel())))
        writer.SetFileName(str(folder / f"{k}.dcm"))
        writer.Execute(plane)


def test_repeated_positions_become_frames_in_the_order_of_acquisition(tmp_path: Path) -> None:
    frames = np.random.default_rng(4).integers(0, 900, (6, 5, 4, 3)).astype(np.int16)
    for frame in range(3):
        write(tmp_path / str(frame), Volume(frames[..., frame], np.eye(4)))
        for file in sorted((tmp_path / str(frame)).iterdir()):
            image = pydicom.dcmread(file)
            image.SeriesInstanceUID = "1.2.3"
            image.InstanceNumber += 4 * frame
            # The names are in another order than the acquisition.
            image.save_as(tmp_path / f"{9 - frame}-{file.name}")
        shutil.rmtree(tmp_path / str(frame))
    assert np.array_equal(read_volume(tmp_path).array, frames)


def test_other_files_and_copies_do_not_disturb(tmp_path: Path) -> None:
    write(tmp_path / "series")
    (tmp_path / "series" / "notes.txt").write_text("hello")
    (tmp_path / "series" / "sub").mkdir()
    shutil.copy(tmp_path / "series" / "IM0001.dcm", tmp_path / "series" / "DICOMDIR")
    directory = pydicom.dcmread(tmp_path / "series" / "DICOMDIR", stop_before_pixels=True)
    directory.file_meta.MediaStorageSOPClassUID = pydicom.uid.MediaStorageDirectoryStorage
    del directory.SOPInstanceUID
    directory.save_as(tmp_path / "series" / "DICOMDIR")
    shutil.copy(tmp_path / "series" / "IM0002.dcm", tmp_path / "series" / "copy.dcm")
    assert read_volume(tmp_path / "series").grid == (6, 5, 4)


# --- what cannot be read ---


def change(path: Path, **attributes: object) -> None:
    image = pydicom.dcmread(path)
    for name, value in attributes.items():
        if value is None:
            delattr(image, name)
        else:
            setattr(image, name, value)
    image.save_as(path)


def no_files(folder: Path) -> None:
    for file in folder.iterdir():
        file.unlink()


def only_text(folder: Path) -> None:
    no_files(folder)
    (folder / "notes.txt").write_text("hello" * 100)


def text_named_as_dicom(folder: Path) -> None:
    (folder / "IM0002.dcm").write_text("hello" * 100)


def two_series(folder: Path) -> None:
    change(folder / "IM0001.dcm", SeriesInstanceUID="1.2.3", SeriesDescription="T2 TSE")


def a_missing_slice(folder: Path) -> None:
    (folder / "IM0003.dcm").unlink()


def uneven_slices(folder: Path) -> None:
    position = pydicom.dcmread(folder / "IM0004.dcm").ImagePositionPatient
    normal = OBLIQUE[:3, 2] / 5 * (-1, -1, 1)
    change(
        folder / "IM0004.dcm", ImagePositionPatient=[float(p - 1.5 * n) for p, n in zip(position, normal, strict=True)]
    )


def a_tilted_stack(folder: Path) -> None:
    for number in range(4):
        path = folder / f"IM{number + 1:04d}.dcm"
        x, y, z = pydicom.dcmread(path).ImagePositionPatient
        change(path, ImagePositionPatient=[float(x) + number, float(y), float(z)])


def a_missing_frame(folder: Path) -> None:
    image = pydicom.dcmread(folder / "IM0001.dcm")
    image.SOPInstanceUID = "1.2.3.4"
    image.save_as(folder / "extra.dcm")


def mixed_sizes(folder: Path) -> None:
    change(folder / "IM0002.dcm", Rows=4, PixelData=bytes(6 * 4 * 2))


def mixed_orientations(folder: Path) -> None:
    change(folder / "IM0002.dcm", ImageOrientationPatient=[1, 0, 0, 0, 1, 0])


def no_position(folder: Path) -> None:
    change(folder / "IM0002.dcm", ImagePositionPatient=None)


def no_orientation(folder: Path) -> None:
    change(folder / "IM0002.dcm", ImageOrientationPatient=None)


def multi_frame(folder: Path) -> None:
    change(folder / "IM0002.dcm", NumberOfFrames=2)


def cut_pixels(folder: Path, name: str = "IM0002.dcm") -> None:
    path = folder / name
    path.write_bytes(path.read_bytes()[:-7])


def cut_header(folder: Path) -> None:
    path = folder / "IM0002.dcm"
    path.write_bytes(path.read_bytes()[:600])


def raw(name: str, value: bytes) -> Callable[[Path], None]:
    """Put bytes into an attribute that pydicom would refuse to write."""

    def spoil(folder: Path) -> None:
        path = folder / "IM0002.dcm"
        image = pydicom.dcmread(path)
        tag = pydicom.datadict.tag_for_keyword(name)
        image[tag] = pydicom.dataelem.RawDataElement(
            pydicom.tag.Tag(tag), pydicom.datadict.dictionary_VR(tag), len(value), value, 0, False, True
        )
        image.save_as(path)

    spoil.__name__ = f"{name} {value!r}"
    return spoil


def no_rows(folder: Path) -> None:
    change(folder / "IM0002.dcm", Rows=None)


def no_transfer_syntax(folder: Path) -> None:
    image = pydicom.dcmread(folder / "IM0002.dcm")
    image.file_meta.TransferSyntaxUID = "1.2.3"
    image.save_as(folder / "IM0002.dcm", implicit_vr=False, little_endian=True)


BAD_FOLDERS: list[tuple[Callable[[Path], None], str]] = [
    (no_files, "no DICOM images"),
    (only_text, "no DICOM images"),
    (text_named_as_dicom, r"IM0002\.dcm is not a DICOM file"),
    (two_series, r"2 series \(T2 TSE, 1 images; CBV - RESEARCH, 3 images\)"),
    (a_missing_slice, r"slices are missing or unevenly spaced: 10\.00 mm between slices 2 and 3, 5\.00 mm elsewhere"),
    (uneven_slices, r"unevenly spaced: 3\.50 mm between slices 3 and 4, 5\.00 mm elsewhere"),
    (a_tilted_stack, "sheared"),
    (a_missing_frame, "images are missing"),
    (mixed_sizes, "differ in size"),
    (mixed_orientations, "differ in size or orientation"),
    (no_position, "without position"),
    (no_orientation, r"IM0002\.dcm has no orientation"),
    (multi_frame, "multi-frame"),
    (cut_pixels, r"IM0002\.dcm is cut off"),
    (cut_header, r"IM0002\.dcm is cut off"),
    (no_transfer_syntax, r"IM0002\.dcm"),
    (no_rows, r"IM0002\.dcm has no usable Rows"),
    (raw("Rows", b"\1\0\2\0"), r"IM0002\.dcm has no usable Rows"),
    (raw("NumberOfFrames", b"one "), r"IM0002\.dcm has no usable NumberOfFrames"),
    (raw("PixelSpacing", b"1\\wide"), r"IM0002\.dcm has no usable PixelSpacing"),
    (raw("ImageOrientationPatient", b"1\\0\\0 "), r"IM0002\.dcm has no usable ImageOrientationPatient"),
    (raw("ImagePositionPatient", b"1\\0 "), "without position"),
    (raw("RescaleSlope", b"steep "), r"IM0002\.dcm has no usable RescaleSlope"),
    (raw("InstanceNumber", b"two "), r"IM0002\.dcm has no usable InstanceNumber"),
]


@pytest.mark.parametrize(("spoil", "words"), BAD_FOLDERS, ids=[spoil.__name__ for spoil, _ in BAD_FOLDERS])
def test_bad_series_end_in_one_clear_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], spoil: Callable[[Path], None], words: str
) -> None:
    write(tmp_path / "series")
    spoil(tmp_path / "series")
    capfd.readouterr()
    with pytest.raises(InputError, match=words) as caught:
        read_volume(tmp_path / "series")
    assert str(tmp_path / "series") in caught.value.message
    assert "\n" not in str(caught.value)
    assert caught.value.hint
    assert capfd.readouterr() == ("", "")


# --- what cannot be written ---


def test_a_filled_folder_is_not_replaced_unasked(tmp_path: Path) -> None:
    write(tmp_path / "series")
    with pytest.raises(OutputError, match="not empty"):
        write(tmp_path / "series")


def test_values_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    array = VALUES.copy()
    array[1, 1, 1] = np.nan
    with pytest.raises(OutputError, match="not finite"):
        write(tmp_path / "series", Volume(array))
    assert list(tmp_path.iterdir()) == []


def test_a_series_over_time_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="3-D"):
        write(tmp_path / "series", Volume(np.zeros((2, 2, 2, 2))))


def test_a_file_cut_anywhere_is_noticed(tmp_path: Path) -> None:
    """Also where the rest would still be a regular stack of slices."""
    write(tmp_path / "series")
    last = tmp_path / "series" / "IM0004.dcm"
    whole = last.read_bytes()
    for kept in range(0, len(whole), 17):
        last.write_bytes(whole[:kept])
        with pytest.raises(InputError, match=r"IM0004\.dcm"):
            read_volume(tmp_path / "series")
