"""Images of a study as a screen reads them: the same voxels and place as another library finds."""

import gzip

import nibabel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from HierSynthLib.errors import InputError
from HierSynthLib.reader_study import image_file
from HierSynthLib.reader_study.image_file import check_in_pieces, open_image, usual_window
from HierSynthLib.reader_study.record.refusals import ImageError
from HierSynthLib.volume import Volume, write_volume
from Testing.reader_studies import make_study

AFFINE = np.array([[-2.0, 0, 0, 11], [0, 0, 3, -7], [0, 2.5, 0, 5], [0, 0, 0, 1]])


@pytest.mark.parametrize("dtype", ["float32", "int16", "uint8", "float64"])
def test_voxels_and_place_are_those_of_the_file(tmp_path, dtype):
    array = np.random.default_rng(1).integers(0, 200, (5, 6, 7)).astype(dtype)
    path = tmp_path / "0123456789ab.nii"
    write_volume(Volume(array, AFFINE), path)
    file = open_image(path)
    values = np.empty(array.size, file.dtype)
    assert list(file.read_into(values))[-1] == 1.0
    other = nibabel.load(path)
    np.testing.assert_array_equal(values.reshape(file.shape, order="F"), np.asanyarray(other.dataobj))
    np.testing.assert_allclose(file.affine, other.affine)


def test_what_create_does_not_write_is_refused(tmp_path):
    path = tmp_path / "image.nii"
    image = nibabel.Nifti1Image(np.ones((3, 3, 3), np.int16), AFFINE)
    image.header.set_slope_inter(2.0, 1.0)
    image.to_filename(path)
    with pytest.raises(InputError, match="not an image of this study"):
        open_image(path)
    big = nibabel.Nifti1Image(np.ones((3, 3, 3), ">f4"), AFFINE, nibabel.Nifti1Header(endianness=">"))
    big.to_filename(path)
    with pytest.raises(InputError, match="not an image of this study"):
        open_image(path)
    write_volume(Volume(np.ones((3, 3, 3, 2), np.float32), AFFINE), path, overwrite=True)
    with pytest.raises(InputError, match="not an image of this study"):
        open_image(path)
    path.write_bytes(gzip.compress(b"x" * 1000))
    with pytest.raises(InputError, match="not a NIfTI file"):
        open_image(path)
    with pytest.raises(ImageError, match=r"gone\.nii is missing"):
        open_image(tmp_path / "gone.nii")


def test_a_file_that_is_cut_off_is_told(tmp_path):
    path = tmp_path / "image.nii"
    write_volume(Volume(np.ones((5, 5, 5), np.float32), AFFINE), path)
    path.write_bytes(path.read_bytes()[:-8])
    file = open_image(path)
    with pytest.raises(InputError, match="cut off"):
        list(file.read_into(np.empty(125, np.float32)))


@pytest.mark.parametrize("piece", [100, 10**6])
def test_every_byte_of_an_image_counts(tmp_path, monkeypatch, piece):
    monkeypatch.setattr(image_file, "PIECE", piece)
    study = make_study(tmp_path, 1)
    image = study.slots("R1")[0].presentation.images[0]
    path = study.image_file(image)
    right = path.read_bytes()
    fractions = list(check_in_pieces(study, image))
    assert fractions[-1] == 1.0
    assert len(fractions) == -(-len(right) // piece)
    for place in (0, 200, len(right) // 2, len(right) - 1):
        wrong = bytearray(right)
        wrong[place] ^= 1
        path.write_bytes(wrong)
        with pytest.raises(ImageError, match="was changed"):
            list(check_in_pieces(study, image))
    for wrong in (right[:-1], right + b"x", b""):
        path.write_bytes(wrong)
        with pytest.raises(ImageError, match="was changed"):
            list(check_in_pieces(study, image))
    path.unlink()
    with pytest.raises(ImageError, match="is missing"):
        list(check_in_pieces(study, image))


@given(st.integers(0, 2**32 - 1), st.integers(2, 400))
def test_the_window_is_that_of_what_is_not_background(seed, count):
    random = np.random.default_rng(seed)
    values = np.concatenate([np.zeros(count), random.normal(500.0, 90.0, count)])
    random.shuffle(values)
    low, high = usual_window(values)
    np.testing.assert_allclose((low, high), np.percentile(values[values != 0], (1.0, 99.5)))
    assert low < high


def test_the_window_of_a_large_image_comes_from_a_sample():
    random = np.random.default_rng(3)
    values = random.gamma(4.0, 100.0, 2_000_000).astype(np.float32)
    np.testing.assert_allclose(usual_window(values), np.percentile(values, (1.0, 99.5)), rtol=0.05)


@pytest.mark.parametrize("values", [np.zeros(10), np.full(10, np.nan), np.full(10, 7.0)])
def test_an_image_without_contrast_has_a_window_all_the_same(values):
    low, high = usual_window(values)
    assert low < high
