"""Arrays go to the worker and back in pieces: every value, whole files or none, and no piece that takes long."""

import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from HierSynthLib.errors import InputError, OutputError
from HierSynthLib.volume import read_volume
from HierSynthLib.worker import transfer
from HierSynthLib.worker.transfer import ArrayFile, write_in_pieces

AFFINE = np.array([[-0.9, 0, 0.1, 80], [0, 1.1, 0, -90], [0.09, 0, 1.0, -60], [0, 0, 0, 1.0]])
TYPES = ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "float32", "float64", "bool"]
arrays = npst.arrays(
    st.sampled_from([np.dtype(name) for name in TYPES]), npst.array_shapes(min_dims=3, max_dims=4, max_side=5)
)


def as_vtk(array):
    """A copy in the memory of a VTK image, and the view of it that is indexed as `array` is."""
    memory = np.ascontiguousarray(array.transpose(2, 1, 0, *range(3, array.ndim)))
    return memory, memory.transpose(2, 1, 0, *range(3, array.ndim))


def write(array, path):
    fractions = list(write_in_pieces(array, AFFINE, "nrCBV", path))
    assert fractions[-1] == 1.0
    assert fractions == sorted(fractions)
    return fractions


@settings(deadline=None, max_examples=60)
@given(arrays, st.sampled_from(["C", "F", "VTK", "flipped"]))
def test_what_is_written_is_what_numpy_reads(tmp_path_factory, array, layout):
    path = tmp_path_factory.mktemp("transfer") / "T1.npy"
    views = {"C": array, "F": np.asfortranarray(array), "VTK": as_vtk(array)[1], "flipped": array[::-1][::-1]}
    write(views[layout], path)
    np.testing.assert_array_equal(np.load(path, allow_pickle=False), array)
    fields = json.loads(path.with_suffix(".json").read_text("utf-8"))
    assert fields == {"affine": AFFINE.tolist(), "units": "nrCBV"}
    assert sorted(each.name for each in path.parent.iterdir()) == ["T1.json", "T1.npy"]


@settings(deadline=None, max_examples=60)
@given(arrays.filter(lambda array: array.ndim == 3))
def test_what_is_read_has_the_order_of_vtk(tmp_path_factory, array):
    path = tmp_path_factory.mktemp("transfer") / "T1.npy"
    write(array, path)
    file = ArrayFile.open(path)
    assert (file.shape, file.dtype, file.units) == (array.shape, array.dtype, "nrCBV")
    assert file.fortran_order or max(array.shape) == 1
    np.testing.assert_allclose(file.affine, AFFINE)
    memory = np.empty(array.shape[::-1], array.dtype)  # (k, j, i), as vtkImageData has it
    assert list(file.read_into(memory))[-1] == 1.0
    np.testing.assert_array_equal(memory, as_vtk(array)[0])


def test_the_other_order_is_told(tmp_path):
    array = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    np.save(tmp_path / "a.npy", array)
    (tmp_path / "a.json").write_text(json.dumps({"affine": np.eye(4).tolist()}))
    file = ArrayFile.open(tmp_path / "a.npy")
    assert not file.fortran_order
    flat = np.empty(24, np.float32)
    list(file.read_into(flat))
    np.testing.assert_array_equal(flat, np.arange(24))


@pytest.mark.parametrize("order", ["C", "F"])
def test_pieces_are_small(tmp_path, order, monkeypatch):
    array = np.asarray(np.random.default_rng(0).integers(0, 9, (256, 256, 100), np.int16), order=order)
    sizes = []
    write_array = transfer.npy.write_array

    def watched(*arguments):
        for size in write_array(*arguments):
            sizes.append(size)
            yield size

    monkeypatch.setattr(transfer.npy, "write_array", watched)
    fractions = write(array, tmp_path / "T1.npy")
    assert sum(sizes) == array.nbytes
    assert max(sizes) <= 1 << 22
    assert len(fractions) == len(sizes) > 3
    buffer = np.empty(array.size, np.int16)
    assert len(list(ArrayFile.open(tmp_path / "T1.npy").read_into(buffer))) == 4  # 13.1 MB in pieces of 4.2 MB
    np.testing.assert_array_equal(buffer, array.ravel(order="F"))


def test_a_slice_larger_than_a_piece_is_cut(tmp_path):
    array = np.arange(3 << 20, dtype=np.float64).reshape(3 << 10, 1 << 10, 1)
    assert len(write(array, tmp_path / "T1.npy")) == 6
    np.testing.assert_array_equal(np.load(tmp_path / "T1.npy"), array)


def test_vtk_memory_is_not_copied(tmp_path, monkeypatch):
    memory, view = as_vtk(np.random.default_rng(0).normal(size=(9, 8, 7)))
    seen = []
    chunks = transfer.npy.chunks
    monkeypatch.setattr(transfer.npy, "chunks", lambda array: (seen.append(piece) or piece for piece in chunks(array)))
    write(view, tmp_path / "T1.npy")
    assert all(np.shares_memory(np.frombuffer(piece, np.uint8), memory) for piece in seen)


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_what_is_given_up_leaves_nothing(tmp_path, steps):
    pieces = write_in_pieces(np.zeros((256, 256, 100), np.float32), AFFINE, "", tmp_path / "new" / "T1.npy")
    for _ in range(steps):
        next(pieces)
        assert not (tmp_path / "new" / "T1.npy").exists()
    pieces.close()
    assert not list(tmp_path.iterdir())


class _FullDisk:
    """A file on a disk that takes one more piece."""

    def __init__(self, file):
        self._file, self._pieces = file, 0

    def __getattr__(self, name):
        return getattr(self._file, name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._file.close()

    def write(self, data):
        self._pieces += len(data) > 1000
        if self._pieces > 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self._file.write(data)


def test_a_full_disk_is_named_and_leaves_nothing(tmp_path, monkeypatch):
    really_open = Path.open
    monkeypatch.setattr(Path, "open", lambda self, *rest, **more: _FullDisk(really_open(self, *rest, **more)))
    with pytest.raises(OutputError, match="the disk is full") as caught:
        list(write_in_pieces(np.zeros((256, 256, 100), np.float32), AFFINE, "", tmp_path / "T1.npy"))
    assert caught.value.hint.startswith("Free some space")
    assert not list(tmp_path.iterdir())


def test_an_existing_file_stays(tmp_path):
    write(np.ones((2, 2, 2)), tmp_path / "T1.npy")
    with pytest.raises(OutputError, match="exists already"):
        list(write_in_pieces(np.zeros((2, 2, 2)), AFFINE, "", tmp_path / "T1.npy"))
    np.testing.assert_array_equal(read_volume(tmp_path / "T1.npy").array, 1)


@pytest.mark.parametrize("array", [np.zeros(3), np.zeros((2, 2, 2), complex), np.array([["a"]])])
def test_what_is_no_volume_is_refused(tmp_path, array):
    with pytest.raises(ValueError, match="real numbers"):
        list(write_in_pieces(array, AFFINE, "", tmp_path / "T1.npy"))


def a_file(tmp_path):
    write(np.arange(60, dtype=np.float32).reshape(3, 4, 5), tmp_path / "map.npy")
    return tmp_path / "map.npy"


def test_a_cut_off_file_is_noticed_when_opened(tmp_path):
    path = a_file(tmp_path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"map\.npy is empty, cut off"):
        ArrayFile.open(path)


def test_a_file_cut_off_later_is_noticed_when_read(tmp_path):
    path = a_file(tmp_path)
    file = ArrayFile.open(path)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(InputError, match="cut off"):
        list(file.read_into(np.empty(60, np.float32)))
    path.unlink()
    with pytest.raises(InputError, match="cannot be read"):
        list(file.read_into(np.empty(60, np.float32)))


@pytest.mark.parametrize("content", [b"", b"text", b"\x93NUMPY\x01\x00\xff\xff{", b"PK\x03\x04"])
def test_something_else_is_no_array(tmp_path, content):
    path = a_file(tmp_path)
    path.write_bytes(content)
    with pytest.raises(InputError, match="not a NumPy array of numbers"):
        ArrayFile.open(path)


def test_missing_files(tmp_path):
    path = a_file(tmp_path)
    path.with_suffix(".json").unlink()
    with pytest.raises(InputError, match=r"map\.json does not exist"):
        ArrayFile.open(path)
    path.unlink()
    with pytest.raises(InputError, match=r"map\.npy does not exist"):
        ArrayFile.open(path)


@pytest.mark.parametrize("buffer", [np.empty(59, np.float32), np.empty(60, np.float64), np.empty((5, 4, 3)).T])
def test_a_buffer_that_does_not_fit(tmp_path, buffer):
    with pytest.raises(ValueError, match=r"buffer|Buffer"):
        ArrayFile.open(a_file(tmp_path)).read_into(buffer)
    strided = np.empty(120, np.float32)[::2]
    with pytest.raises(ValueError, match="contiguous"):
        ArrayFile.open(tmp_path / "map.npy").read_into(strided)
