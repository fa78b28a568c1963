"""Volumes keep their values and their place; damaged files are refused in one clear line."""

import errno
import gzip
import json
import os
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from HierSynthLib.errors import InputError, OutputError
from HierSynthLib.volume import Volume, read_volume, write_volume
from Testing.sitk_images import from_sitk, to_sitk

RNG_ARRAY = np.random.default_rng(5).normal(size=(7, 6, 5)).astype(np.float32)
OBLIQUE = np.eye(4)
OBLIQUE[:3, :3] = np.linalg.qr([[0.9, 0.3, -0.1], [-0.3, 0.9, 0.2], [0.15, -0.16, 0.9]])[0] * (0.9, 1.1, 5.0)
OBLIQUE[:3, 3] = (-90.5, 12.25, 40.0)

few = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@st.composite
def affines(draw: st.DrawFn) -> np.ndarray:
    """Any place a scanner could report: oblique, flipped, permuted, anisotropic."""
    quaternion = np.array(draw(st.tuples(*[st.floats(-1, 1, width=32)] * 4)))
    assume(np.linalg.norm(quaternion) > 0.1)
    a, b, c, d = quaternion / np.linalg.norm(quaternion)
    vector, cross = np.array([b, c, d]), np.array([[0, -d, c], [d, 0, -b], [-c, b, 0]])
    rotation = (a * a - vector @ vector) * np.eye(3) + 2 * np.outer(vector, vector) + 2 * a * cross
    spacing = draw(st.tuples(*[st.floats(0.3, 7)] * 3))
    flips = draw(st.tuples(*[st.sampled_from([-1, 1])] * 3))
    permutation = np.eye(3)[list(draw(st.permutations(range(3))))]
    affine = np.eye(4)
    affine[:3, :3] = rotation @ permutation * flips * spacing
    affine[:3, 3] = draw(st.tuples(*[st.floats(-300, 300)] * 3))
    return affine


arrays = hnp.arrays(
    st.sampled_from([np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64]),
    hnp.array_shapes(min_dims=3, max_dims=4, min_side=2, max_side=5),
    elements={"allow_nan": False, "allow_infinity": False},
)


def affine_of(image: sitk.Image) -> np.ndarray:
    """Voxel → RAS by asking SimpleITK where its voxels are: independent of the formula under test."""
    origin = np.array(image.TransformIndexToPhysicalPoint((0, 0, 0)))
    units = np.eye(3, dtype=int).tolist()
    columns = [np.array(image.TransformIndexToPhysicalPoint(unit)) - origin for unit in units]
    return np.vstack([np.column_stack([*columns, origin]) * [[-1], [-1], [1]], [0, 0, 0, 1]])


def distance(a: np.ndarray, b: np.ndarray, shape: tuple[int, ...]) -> float:
    """Largest distance in mm between the corner voxels of two grids of the same shape."""
    corners = np.array([[i, j, k, 1] for i in (0, shape[0]) for j in (0, shape[1]) for k in (0, shape[2])])
    return float(np.linalg.norm(corners @ (a - b).T, axis=1).max())


# --- the volume itself ---


@pytest.mark.parametrize("array", [np.zeros(3), np.zeros((2,) * 5), np.zeros((2, 2, 2), complex), np.array([["a"]])])
def test_what_is_no_volume_is_refused(array: np.ndarray) -> None:
    with pytest.raises(ValueError, match="volume"):
        Volume(array)


@pytest.mark.parametrize("affine", [np.eye(3), np.full((4, 4), np.nan), np.diag([1, 1, 1, 2])])
def test_what_is_no_affine_is_refused(affine: np.ndarray) -> None:
    with pytest.raises(ValueError, match="affine"):
        Volume(RNG_ARRAY, affine)


def test_the_affine_of_a_volume_cannot_be_changed_from_outside() -> None:
    affine = np.eye(4)
    volume = Volume(RNG_ARRAY, affine)
    affine[0, 3] = 99
    assert volume.origin.tolist() == [0, 0, 0]
    with pytest.raises(ValueError, match="read-only"):
        volume.affine[0, 3] = 99


def test_spacing_direction_and_positions_of_a_known_grid() -> None:
    affine = np.array([[0, 0, 3.0, 10], [-2.0, 0, 0, 20], [0, 0.5, 0, 30], [0, 0, 0, 1]])
    volume = Volume(np.zeros((4, 5, 6, 7)), affine)
    assert volume.spacing.tolist() == [2, 0.5, 3]
    assert volume.direction.tolist() == [[0, 0, 1], [-1, 0, 0], [0, 1, 0]]
    assert (volume.grid, volume.frames) == ((4, 5, 6), 7)
    assert volume.positions([1, 2, 3]).tolist() == [19, 18, 31]
    assert volume.indices([[19, 18, 31]]).tolist() == [[1, 2, 3]]
    assert volume.corners.max(axis=0).tolist() == [25, 20, 32]


@few
@given(affines(), affines(), st.floats(0, 0.02))
def test_same_grid_is_symmetric_and_measures_the_farthest_corner(a: np.ndarray, b: np.ndarray, shift: float) -> None:
    one, other = Volume(RNG_ARRAY, a), Volume(RNG_ARRAY, b)
    assert one.same_grid(other) == other.same_grid(one)
    assert one.same_grid(one)
    moved = a.copy()
    moved[1, 3] += shift
    assume(abs(shift - 0.01) > 1e-6)
    assert one.same_grid(Volume(RNG_ARRAY, moved)) == (shift < 0.01)
    assert not one.same_grid(Volume(RNG_ARRAY[1:], a))


def test_one_common_corner_is_not_the_same_grid() -> None:
    assert not Volume(RNG_ARRAY).same_grid(Volume(RNG_ARRAY, np.diag([1, 1, 1.01, 1])))


def test_same_grid_sees_a_flip() -> None:
    flipped = np.diag([-1.0, 1, 1, 1])
    flipped[0, 3] = 6
    assert not Volume(RNG_ARRAY).same_grid(Volume(RNG_ARRAY, flipped))


# --- against other programs ---


@few
@given(affines(), st.sampled_from(["sform", "qform", "both"]), st.sampled_from([".nii", ".nii.gz"]))
def test_the_affine_of_nifti_is_that_of_nibabel(tmp_path: Path, affine: np.ndarray, kind: str, suffix: str) -> None:
    image = nib.Nifti1Image(RNG_ARRAY, None)
    image.set_sform(affine, code=1 if kind != "qform" else 0)
    image.set_qform(affine, code=1 if kind != "sform" else 0)
    nib.save(image, tmp_path / f"image{suffix}")
    loaded = nib.load(tmp_path / f"image{suffix}")
    volume = read_volume(tmp_path / f"image{suffix}")
    assert np.array_equal(volume.array, RNG_ARRAY)
    assert distance(volume.affine, loaded.affine, volume.grid) < 1e-4


@few
@given(affines(), arrays)
def test_nibabel_and_simpleitk_agree_on_what_was_written(tmp_path: Path, affine: np.ndarray, array: np.ndarray) -> None:
    path = tmp_path / "image.nii.gz"
    write_volume(Volume(array, affine, "nrCBV"), path, overwrite=True)
    image = nib.load(path)
    assert np.array_equal(np.asanyarray(image.dataobj), array)
    assert image.get_data_dtype() == array.dtype
    assert distance(image.get_sform(), affine, array.shape) < 1e-4
    # The quaternion has single precision, so the qform is slightly off; readers take the sform.
    assert distance(image.get_qform(), affine, array.shape) < 0.05
    assert image.header.get_xyzt_units()[0] == "mm"
    assert image.header["descrip"].item() == b"nrCBV"
    if array.ndim == 3:
        assert distance(affine_of(sitk.ReadImage(str(path))), affine, array.shape) < 0.05


@few
@given(affines(), st.sampled_from([".nrrd", ".mha"]), st.booleans())
def test_what_simpleitk_writes_is_read(tmp_path: Path, affine: np.ndarray, suffix: str, compressed: bool) -> None:
    image = to_sitk(Volume(RNG_ARRAY, affine))
    sitk.WriteImage(image, str(tmp_path / f"image{suffix}"), compressed)
    volume = read_volume(tmp_path / f"image{suffix}")
    assert np.array_equal(volume.array, sitk.GetArrayFromImage(image).T)
    assert distance(volume.affine, affine_of(image), volume.grid) < 1e-4


@few
@given(affines(), arrays)
def test_simpleitk_reads_the_nrrd_that_is_written(tmp_path: Path, affine: np.ndarray, array: np.ndarray) -> None:
    assume(array.ndim == 3)
    write_volume(Volume(array, affine, "10⁻³ mm²/s"), tmp_path / "image.nrrd", overwrite=True)
    image = sitk.ReadImage(str(tmp_path / "image.nrrd"))
    assert np.array_equal(sitk.GetArrayFromImage(image).T, array)
    assert distance(affine_of(image), affine, array.shape) < 1e-4
    assert image.GetMetaData("units") == "10⁻³ mm²/s"


@few
@given(affines())
def test_simpleitk_images_and_volumes_are_the_same_place(affine: np.ndarray) -> None:
    image = to_sitk(Volume(RNG_ARRAY, affine))
    assert image.GetPixel(3, 2, 1) == RNG_ARRAY[3, 2, 1]
    assert distance(affine_of(image), affine, RNG_ARRAY.shape) < 1e-9
    back = from_sitk(image, "nrCBV")
    assert np.array_equal(back.array, RNG_ARRAY)
    assert back.units == "nrCBV"
    assert distance(back.affine, affine, RNG_ARRAY.shape) < 1e-9


def test_a_mask_becomes_an_image_of_bytes_and_a_series_none() -> None:
    assert to_sitk(Volume(RNG_ARRAY > 0)).GetPixelID() == sitk.sitkUInt8
    with pytest.raises(ValueError, match="3-D"):
        to_sitk(Volume(np.zeros((2, 2, 2, 2))))


# --- round trips and variants ---


@few
@given(affines(), arrays, st.sampled_from([".nii", ".nii.gz", ".nrrd", ".npy"]))
def test_round_trip_keeps_values_type_and_place(
    tmp_path: Path, affine: np.ndarray, array: np.ndarray, suffix: str
) -> None:
    assume(suffix in (".nrrd", ".npy") or array.shape[-1] > 1)
    path = tmp_path / f"volume{suffix}"
    if suffix == ".npy":
        for file in (path, path.with_suffix(".json")):
            file.unlink(missing_ok=True)
    write_volume(Volume(array, affine, "nrCBV"), path, overwrite=True)
    volume = read_volume(path)
    assert np.array_equal(volume.array, array)
    assert volume.array.dtype == array.dtype
    assert volume.array.flags.writeable
    assert distance(volume.affine, affine, volume.grid) < 1e-4
    assert volume.units == ("nrCBV" if suffix == ".npy" else "")
    assert read_volume(path, "s").units == "s"


@pytest.mark.parametrize("array", [RNG_ARRAY[::-1, :, ::2], np.moveaxis(RNG_ARRAY, 0, 2), np.asfortranarray(RNG_ARRAY)])
@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".npy"])
def test_the_order_in_memory_does_not_matter(tmp_path: Path, array: np.ndarray, suffix: str) -> None:
    write_volume(Volume(array), tmp_path / f"view{suffix}")
    assert np.array_equal(read_volume(tmp_path / f"view{suffix}").array, array)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd"])
def test_masks_and_half_precision_get_a_type_that_files_have(tmp_path: Path, suffix: str) -> None:
    write_volume(Volume(RNG_ARRAY > 0), tmp_path / f"mask{suffix}")
    assert read_volume(tmp_path / f"mask{suffix}").array.dtype == np.uint8
    half = RNG_ARRAY.astype(np.float16)
    write_volume(Volume(half), tmp_path / f"half{suffix}")
    assert np.array_equal(read_volume(tmp_path / f"half{suffix}").array, half.astype(np.float32))


def test_signed_bytes_stay_signed(tmp_path: Path) -> None:
    array = np.array([[[-128, -1], [0, 127]]], np.int8).repeat(2, axis=0)
    write_volume(Volume(array), tmp_path / "bytes.nii")
    assert np.array_equal(np.asanyarray(nib.load(tmp_path / "bytes.nii").dataobj), array)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".npy"])
def test_the_same_volume_gives_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    write_volume(Volume(RNG_ARRAY, OBLIQUE), tmp_path / f"one{suffix}")
    monkeypatch.setattr("time.time", lambda: 2e9)
    write_volume(Volume(np.asfortranarray(RNG_ARRAY), OBLIQUE), tmp_path / f"two{suffix}")
    if suffix != ".npy":  # which stores the memory order
        assert (tmp_path / f"one{suffix}").read_bytes() == (tmp_path / f"two{suffix}").read_bytes()
    assert b"one" not in (tmp_path / f"one{suffix}").read_bytes()


def test_scaled_integers_are_what_nibabel_makes_of_them(tmp_path: Path) -> None:
    image = nib.Nifti1Image((RNG_ARRAY * 100).astype(np.int16), np.eye(4))
    image.header.set_slope_inter(0.25, -7)
    nib.save(image, tmp_path / "scaled.nii.gz")
    volume = read_volume(tmp_path / "scaled.nii.gz")
    assert volume.array.dtype == np.float32
    np.testing.assert_allclose(volume.array, nib.load(tmp_path / "scaled.nii.gz").get_fdata(), rtol=1e-6)


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
def test_both_versions_and_byte_orders_of_nifti(tmp_path: Path, kind: type) -> None:
    for order in "<>":
        header = kind.header_class(endianness=order)
        header.set_data_dtype(np.int16)
        path = tmp_path / f"{kind.__name__}{ord(order)}.nii"
        nib.save(kind((RNG_ARRAY * 100).astype(np.int16), OBLIQUE, header), path)
        volume = read_volume(path)
        assert np.array_equal(volume.array, (RNG_ARRAY * 100).astype(np.int16))
        assert volume.array.dtype == np.dtype(np.int16)
        assert distance(volume.affine, nib.load(path).affine, volume.grid) < 1e-4


def test_lengths_in_metres_become_millimetres(tmp_path: Path) -> None:
    image = nib.Nifti1Image(RNG_ARRAY, np.diag([0.001, 0.002, 0.003, 1]))
    image.header.set_xyzt_units("meter")
    nib.save(image, tmp_path / "metre.nii")
    np.testing.assert_allclose(read_volume(tmp_path / "metre.nii").spacing, [1, 2, 3], rtol=1e-6)


def test_series_have_their_frames_last(tmp_path: Path) -> None:
    frames = np.random.default_rng(2).normal(size=(4, 5, 6, 3)).astype(np.float32)
    vectors = sitk.GetImageFromArray(np.ascontiguousarray(frames.transpose(2, 1, 0, 3)), isVector=True)
    for name in ("vector.nrrd", "vector.nii.gz", "vector.mha"):
        sitk.WriteImage(vectors, str(tmp_path / name))
        assert np.array_equal(read_volume(tmp_path / name).array, frames), name
    nib.save(nib.Nifti1Image(frames, np.eye(4)), tmp_path / "time.nii.gz")
    assert np.array_equal(read_volume(tmp_path / "time.nii.gz").array, frames)
    nib.save(nib.Nifti1Image(frames[..., :1], np.eye(4)), tmp_path / "one.nii.gz")
    assert read_volume(tmp_path / "one.nii.gz").array.shape == (4, 5, 6)
    assert np.array_equal(from_sitk(vectors).array, frames)


def test_nrrd_in_ras_with_its_data_in_another_file(tmp_path: Path) -> None:
    RNG_ARRAY.astype(">f4").ravel(order="F").tofile(tmp_path / "image.raw")
    header = [
        "NRRD0004", "# comment", "type: float", "dimension: 3", "space: right-anterior-superior", "sizes: 7 6 5",
        "space directions: (2,0,0) (0,0,3) (0,-1,0)", "space origin: (1,2,3)", "endian: big", "encoding: raw",
        "data file: image.raw", "", "",
    ]  # fmt: skip
    (tmp_path / "image.nhdr").write_text("\n".join(header))
    volume = read_volume(tmp_path / "image.nhdr")
    assert np.array_equal(volume.array, RNG_ARRAY)
    assert volume.affine.tolist() == [[2, 0, 0, 1], [0, 0, -1, 2], [0, 3, 0, 3], [0, 0, 0, 1]]


# --- what cannot be read ---


def write_nifti(path: Path, sform: np.ndarray | None = None, **header: object) -> None:
    image = nib.Nifti1Image(RNG_ARRAY, np.eye(4) if sform is None else sform)
    image.header.set_data_dtype(np.float32)
    for name, value in header.items():
        image.header[name] = value
    nib.save(image, path)


def patch(path: Path, offset: int, value: bytes) -> None:
    data = bytearray(path.read_bytes())
    data[offset : offset + len(value)] = value
    path.write_bytes(data)


def cut(path: Path, kept: int) -> None:
    path.write_bytes(path.read_bytes()[:kept])


def nothing(path: Path) -> None:
    pass


def a_text(path: Path) -> None:
    path.write_text("This is not an image.\n" * 40, encoding="utf-8")


def an_empty_file(path: Path) -> None:
    path.write_bytes(b"")


def cut_by(count: int) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        write_volume(Volume(RNG_ARRAY), path)
        cut(path, path.stat().st_size - count)

    return make


def damaged_within(path: Path) -> None:
    write_volume(Volume(RNG_ARRAY), path)
    data = path.read_bytes()
    patch(path, len(data) // 2, bytes(255 - byte for byte in data[len(data) // 2 :][:8]))


def wrong_checksum(path: Path) -> None:
    write_volume(Volume(RNG_ARRAY), path)
    patch(path, path.stat().st_size - 8, b"\0\0\0\0")


def complete_gzip_of_half_an_image(path: Path) -> None:
    write_volume(Volume(RNG_ARRAY), path)
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:-400]))


def a_sheared_sform(path: Path) -> None:
    write_nifti(path, np.array([[1, 0.1, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]))


def a_sheared_sform_beside_a_good_qform(path: Path) -> None:
    image = nib.Nifti1Image(RNG_ARRAY, np.eye(4))
    image.set_qform(np.eye(4), code=1)
    image.set_sform(np.array([[1, 0.1, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]), code=1)
    nib.save(image, path)


def a_singular_sform(path: Path) -> None:
    write_nifti(path, np.array([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]))


def an_sform_with_a_zero_axis(path: Path) -> None:
    write_nifti(path)
    patch(path, 280, bytes(16))  # srow_x


def a_qform_with_a_zero_axis(path: Path) -> None:
    write_nifti(path)
    patch(path, 252, b"\1\0\0\0")  # qform only
    patch(path, 80, bytes(4))  # pixdim[1]


def a_qform_that_is_no_rotation(path: Path) -> None:
    write_nifti(path)
    patch(path, 252, b"\1\0\0\0")
    patch(path, 256, np.array([0.9, 0.9, 0.9], "<f4").tobytes())


def an_infinite_sform(path: Path) -> None:
    write_nifti(path)
    patch(path, 280, np.array([np.inf], "<f4").tobytes())


def no_orientation(path: Path) -> None:
    write_nifti(path)
    patch(path, 252, bytes(4))


def colours(path: Path) -> None:
    pixel = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
    nib.save(nib.Nifti1Image(np.zeros((4, 4, 4), pixel), np.eye(4)), path)


def impossible_dimensions(path: Path) -> None:
    write_nifti(path)
    patch(path, 40, np.array([3, 7, -6, 5], "<i2").tobytes())


def six_dimensions(path: Path) -> None:
    nib.save(nib.Nifti1Image(np.zeros((2, 2, 2, 2, 2, 2), np.float32), np.eye(4)), path)


def sheared_nrrd(path: Path) -> None:
    image = sitk.GetImageFromArray(RNG_ARRAY)
    sitk.WriteImage(image, str(path))
    text = path.read_bytes().replace(b"(1,0,0) (0,1,0)", b"(1,0,0) (1,1,0)")
    path.write_bytes(text)


def nrrd_without_its_data(path: Path) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(RNG_ARRAY), str(path))
    for data in path.parent.glob("*.raw*"):
        data.unlink()


def nrrd_with_half_its_data(path: Path) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(RNG_ARRAY), str(path))
    for data in path.parent.glob("*.raw*"):
        cut(data, data.stat().st_size // 2)


def nrrd_without_orientation(path: Path) -> None:
    header = "NRRD0004\ntype: uchar\ndimension: 3\nsizes: 2 2 2\nspacings: 1 1 1\nencoding: raw\n\n"
    path.write_bytes(header.encode() + bytes(8))


def flat_nrrd(path: Path) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(RNG_ARRAY[0]), str(path))


def cut_mha(path: Path) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(RNG_ARRAY), str(path))
    cut(path, path.stat().st_size - 3)


def cut_compressed_mha(path: Path) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(RNG_ARRAY), str(path), useCompression=True)
    cut(path, path.stat().st_size - 3)


def array_without_sidecar(path: Path) -> None:
    np.save(path, RNG_ARRAY)


def array_with_a_bad_sidecar(path: Path) -> None:
    np.save(path, RNG_ARRAY)
    path.with_suffix(".json").write_text('{"affine": [1, 2, 3]}')


def array_with_a_sheared_sidecar(path: Path) -> None:
    np.save(path, RNG_ARRAY)
    affine = np.eye(4)
    affine[0, 1] = 0.2
    path.with_suffix(".json").write_text(json.dumps({"affine": affine.tolist()}))


def pickled_objects(path: Path) -> None:
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    path.with_suffix(".json").write_text(json.dumps({"affine": np.eye(4).tolist()}))


def a_pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps({"affine": 1}))


def an_archive_of_arrays(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, RNG_ARRAY)


def mha_with(field: bytes, value: bytes) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        sitk.WriteImage(sitk.GetImageFromArray(RNG_ARRAY), str(path))
        lines = path.read_bytes().split(b"\n")
        number = next(number for number, line in enumerate(lines) if line.startswith(field))
        lines[number] = field + b" = " + value
        path.write_bytes(b"\n".join(lines))

    make.__name__ = f"{field.decode()} {value.decode()}"
    return make


def an_array_of_one_dimension(path: Path) -> None:
    np.save(path, np.zeros(4))


BAD_FILES = [
    ("image.nii.gz", nothing, "does not exist"),
    ("image.npy", nothing, "does not exist"),
    ("image.nii.gz", a_text, "not a NIfTI"),
    ("image.nii", a_text, "not a NIfTI"),
    ("image.nrrd", a_text, "not a NRRD"),
    ("image.mha", a_text, "not a MetaImage"),
    ("image.npy", a_text, "not a NumPy array"),
    ("image.txt", a_text, "unknown format"),
    *((f"image{suffix}", an_empty_file, "empty") for suffix in (".nii.gz", ".nii", ".nrrd", ".mha", ".npy")),
    *(("image.nii.gz", cut_by(count), "cut off") for count in (1, 3, 8, 9, 400)),
    *(("image.nii", cut_by(count), "cut off") for count in (1, 400)),
    *(("image.nrrd", cut_by(count), "cut off") for count in (1, 8, 400)),
    ("image.npy", cut_by(1), "cut off"),
    ("image.nii.gz", damaged_within, "damaged"),
    ("image.nii.gz", wrong_checksum, "damaged"),
    ("image.nii.gz", complete_gzip_of_half_an_image, "cut off"),
    ("image.nii", a_sheared_sform, "sheared"),
    ("image.nii.gz", a_sheared_sform_beside_a_good_qform, "sheared"),
    ("image.nii", a_singular_sform, "singular"),
    ("image.nii", an_sform_with_a_zero_axis, "singular|sheared"),
    ("image.nii", a_qform_with_a_zero_axis, "singular"),
    ("image.nii", a_qform_that_is_no_rotation, "singular"),
    ("image.nii", an_infinite_sform, "not finite"),
    ("image.nii", no_orientation, "left and right"),
    ("image.nii", colours, "colours"),
    ("image.nii", impossible_dimensions, "dimensions"),
    ("image.nii", six_dimensions, "6 dimensions"),
    ("image.nrrd", sheared_nrrd, "sheared"),
    ("image.nhdr", nrrd_without_its_data, "lacks its data file image.raw"),
    ("image.nhdr", nrrd_with_half_its_data, "cut off"),
    ("image.nrrd", nrrd_without_orientation, "left and right"),
    ("image.nrrd", flat_nrrd, "2-D"),
    ("image.mha", cut_mha, "cut off"),
    ("image.mha", cut_compressed_mha, "cut off"),
    *(("image.mha", mha_with(b"DimSize", size), "damaged") for size in (b"-1 5 5", b"0 5 5", b"5 5", b"2 2 2 2", b"")),
    ("image.mha", mha_with(b"ElementSpacing", b"1"), "damaged"),
    ("image.mha", mha_with(b"Offset", b"0"), "damaged"),
    ("image.npy", array_without_sidecar, "image.json does not exist"),
    ("image.npy", array_with_a_bad_sidecar, r"image\.json does not give the affine"),
    ("image.npy", array_with_a_sheared_sidecar, "sheared"),
    ("image.npy", pickled_objects, "not a NumPy array of numbers"),
    ("image.npy", a_pickle, "not a NumPy array"),
    ("image.npy", an_archive_of_arrays, "not a NumPy array"),
    ("image.npy", an_array_of_one_dimension, "no volume"),
]


@pytest.mark.parametrize(
    ("name", "make", "words"), BAD_FILES, ids=[f"{name}-{make.__name__}" for name, make, _ in BAD_FILES]
)
def test_bad_files_end_in_one_clear_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], name: str, make: Callable[[Path], None], words: str
) -> None:
    make(tmp_path / name)
    capfd.readouterr()
    with pytest.raises(InputError, match=words) as caught:
        read_volume(tmp_path / name)
    assert str(tmp_path / "image") in caught.value.message
    assert "\n" not in str(caught.value)
    assert caught.value.hint
    assert capfd.readouterr() == ("", "")


def test_every_length_of_a_cut_file_is_noticed(tmp_path: Path) -> None:
    write_volume(Volume(RNG_ARRAY[:3, :3, :3]), tmp_path / "whole.nii.gz")
    whole = (tmp_path / "whole.nii.gz").read_bytes()
    for kept in range(len(whole)):
        (tmp_path / "cut.nii.gz").write_bytes(whole[:kept])
        with pytest.raises(InputError, match=r"cut\.nii\.gz"):
            read_volume(tmp_path / "cut.nii.gz")


# --- writing ---


def test_existing_files_stay_unless_replacing_is_allowed(tmp_path: Path) -> None:
    path = tmp_path / "map.nii.gz"
    write_volume(Volume(RNG_ARRAY), path)
    with pytest.raises(OutputError, match="exists already"):
        write_volume(Volume(RNG_ARRAY + 1), path)
    assert np.array_equal(read_volume(path).array, RNG_ARRAY)
    write_volume(Volume(RNG_ARRAY + 1), path, overwrite=True)
    assert np.array_equal(read_volume(path).array, RNG_ARRAY + 1)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".npy"])
def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    original = Path.open

    def open_with_little_space(self: Path, mode: str = "r", *args: object, **more: object) -> object:
        file = original(self, mode, *args, **more)
        if "w" in mode:
            file.write = lambda data: full_disk(file, data)
        return file

    def full_disk(file: IO[bytes], data: bytes) -> int:
        type(file).write(file, data[:50])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "open", open_with_little_space)
    with pytest.raises(OutputError, match="disk is full") as caught:
        write_volume(Volume(RNG_ARRAY), tmp_path / "new" / f"map{suffix}")
    assert str(tmp_path / "new" / "map.") in caught.value.message
    assert list(tmp_path.iterdir()) == []


def test_unknown_formats_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="unknown format"):
        write_volume(Volume(RNG_ARRAY), tmp_path / "new" / "map.jpg")
    assert list(tmp_path.iterdir()) == []


def test_a_blocked_sidecar_leaves_no_array(tmp_path: Path) -> None:
    (tmp_path / "map.json").write_text("{}")
    with pytest.raises(OutputError, match=r"map\.json exists already"):
        write_volume(Volume(RNG_ARRAY), tmp_path / "map.npy")
    assert [path.name for path in tmp_path.iterdir()] == ["map.json"]


def test_a_pair_is_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "map.npy"
    write_volume(Volume(RNG_ARRAY, units="nrCBV"), path)
    with pytest.raises(OutputError, match=r"map\.npy exists already"):
        write_volume(Volume(RNG_ARRAY + 1, units="s"), path, overwrite=True)
    assert np.array_equal(read_volume(path).array, RNG_ARRAY)
    assert read_volume(path).units == "nrCBV"


def test_an_array_that_cannot_be_placed_leaves_no_sidecar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(source: Path, target: Path, original: Callable[[Path, Path], None] = os.link) -> None:
        if target.suffix == ".npy":
            target.write_bytes(b"of another program")
        original(source, target)

    monkeypatch.setattr(os, "link", link)
    with pytest.raises(OutputError, match=r"map\.npy exists already"):
        write_volume(Volume(RNG_ARRAY), tmp_path / "map.npy")
    assert [path.name for path in tmp_path.iterdir()] == ["map.npy"]


def test_reading_needs_no_simpleitk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slicer's own process reads and writes volumes without loading a second copy of ITK."""
    monkeypatch.setitem(sys.modules, "SimpleITK", None)
    for suffix in (".nii.gz", ".nrrd", ".npy"):
        write_volume(Volume(RNG_ARRAY), tmp_path / f"image{suffix}")
        assert np.array_equal(read_volume(tmp_path / f"image{suffix}").array, RNG_ARRAY)
