"""The pipeline from files to files, on a small simulated patient with a small model of random weights."""

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import nibabel
import numpy as np
import pytest

from HierSynthLib.case import Case, Role
from HierSynthLib.errors import Cancelled, DeviceError, InputError, ModelError, OutputError
from HierSynthLib.progress import Silent
from HierSynthLib.synthesis.job import MAP_FILES, Synthesizer
from HierSynthLib.synthesis.package import WEIGHTS
from HierSynthLib.synthesis.summary import provenance_lines
from HierSynthLib.volume import Volume, read_volume, write_volume
from Testing.conftest import write_tiny_model

SEQUENCE_NAMES = ("T1", "T2", "FLAIR", "ADC")


def parameters(case: Path, out: Path, model_folder: Path, *, find_brain: bool = False, **changes):
    """A synthesis of a case; with its true brain mask, as finding the brain takes ten times as long as the rest."""
    inputs = {name: str(case / f"{name}.nii.gz") for name in SEQUENCE_NAMES}
    if not find_brain:
        inputs["brain_mask"] = str(case / "brain_mask_true.nii.gz")
    values = {"inputs": inputs, "output": str(out), "model": str(model_folder), "device": "cpu", "simulated": True}
    return values | {"register": False} | changes


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def result(small_case, model, tmp_path_factory):
    """Output folder, result and warnings of one synthesis of the small case, whose brain is found."""
    out = tmp_path_factory.mktemp("result") / "maps"
    reporter = Silent()
    return out, Synthesizer().run(parameters(small_case, out, model, find_brain=True), reporter), reporter.warnings


@pytest.fixture(scope="module")
def masked_maps(small_case, model, tmp_path_factory):
    """Folder of the maps of the small case within its true brain mask."""
    out = tmp_path_factory.mktemp("masked") / "maps"
    Synthesizer().run(parameters(small_case, out, model), Silent())
    return out


def test_run_json_in_words(result):
    out, _, warnings = result
    text = (out / "run.json").read_text("utf-8")
    run = json.loads(text)
    rows = provenance_lines(run)
    assert rows == provenance_lines(text)
    assert [label for label, _ in rows[:5]] == ["Statement", "Patient", "Case", "Made", "Model"]
    texts = dict(rows)
    assert "not cleared for clinical use" in texts["Statement"]
    assert texts["Patient"] == "simulated"
    assert texts["Model"] == "tiny 1.0, trained on simulated brains only"
    assert texts["Weights (SHA-256)"] == run["model"]["weights_sha256"]
    assert texts["Device"].startswith("cpu")
    assert texts["Reference"] == "T1"
    stages = {name: seconds for name, seconds in run["seconds"].items() if not name.startswith("preparation:")}
    assert texts["Time"].startswith(f"{sum(stages.values()):.1f} s (")
    assert f"synthesis {stages['synthesis']:.1f} s" in texts["Time"]
    for role in SEQUENCE_NAMES:
        assert run["inputs"][role]["sha256"][:12] in texts[f"Input {role}"]
        assert " × ".join(str(count) for count in run["inputs"][role]["grid"]) in texts[f"Input {role}"]
    assert [text for label, text in rows if label == "Warning"] == warnings


def test_maps_lie_on_the_grid_of_the_reference(result, small_case):
    out, answer, _ = result
    t1 = nibabel.load(small_case / "T1.nii.gz")
    assert set(answer["maps"]) == {"synthetic", "global", "residual", "uncertainty"}
    for path in [*answer["maps"].values(), answer["brain"]]:
        image = nibabel.load(path)
        assert image.shape == t1.shape
        np.testing.assert_allclose(image.affine, t1.affine, atol=1e-4)
    assert sorted(p.name for p in out.iterdir()) == sorted(
        [*(f"{stem}.nii.gz" for stem in MAP_FILES.values()), "brain_mask.nii.gz", "run.json"]
    )


def test_synthetic_is_exactly_global_plus_residual_and_zero_outside_the_brain(result):
    _, answer, _ = result
    maps = {name: np.asarray(nibabel.load(path).dataobj) for name, path in answer["maps"].items()}
    brain = np.asarray(nibabel.load(answer["brain"]).dataobj) > 0
    np.testing.assert_array_equal(maps["synthetic"], maps["global"] + maps["residual"])
    assert np.abs(maps["residual"][brain]).max() > 0.01, "the local module did something"
    for array in maps.values():
        assert np.isfinite(array).all()
        assert (array[~brain] == 0).all()
    assert maps["synthetic"].min() >= 0
    assert maps["synthetic"].max() <= 10
    assert (maps["uncertainty"][brain] > 0).all()


def test_run_json_tells_what_was_computed_from_what(result, small_case, model):
    out, _, warnings = result
    run = json.loads((out / "run.json").read_text())
    assert run["synthetic"] is True
    assert run["simulated"] is True
    assert "SYNTHETIC" in run["statement"]
    assert run["reference"] == "T1"
    assert run["model"]["weights_sha256"] == hashlib.sha256((model / WEIGHTS).read_bytes()).hexdigest()
    for name in SEQUENCE_NAMES:
        content = (small_case / f"{name}.nii.gz").read_bytes()
        assert run["inputs"][name]["sha256"] == hashlib.sha256(content).hexdigest()
    assert {"loading model", "reading", "preparation", "synthesis", "writing"} <= set(run["seconds"])
    assert set(run["libraries"]) >= {"torch", "SimpleITK", "numpy", "python"}
    assert run["warnings"] == warnings
    assert run["preparation"]["brain_mask"]["volume_ml"] > 500
    assert str(small_case) not in (out / "run.json").read_text(), "paths may hold a patient's name"


def test_same_input_gives_the_same_bytes(result, small_case, model, tmp_path):
    out, _, _ = result
    again = tmp_path / "again"
    Synthesizer().run(parameters(small_case, again, model, find_brain=True), Silent())
    for stem in MAP_FILES.values():
        assert (again / f"{stem}.nii.gz").read_bytes() == (out / f"{stem}.nii.gz").read_bytes(), stem


def test_a_flipped_reference_gives_the_same_map_in_space(result, small_case, model, tmp_path):
    """Stored with other axes, T1 and its maps must describe the same patient."""
    out, _, _ = result
    t1 = read_volume(small_case / "T1.nii.gz")
    flip = np.array([[0, -1, 0, t1.grid[0] - 1], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], float)
    turned = Volume(np.ascontiguousarray(t1.array[::-1].swapaxes(0, 1)), t1.affine @ flip, t1.units)
    write_volume(turned, tmp_path / "T1.nii.gz")
    settings = parameters(small_case, tmp_path / "maps", model, find_brain=True)
    settings["inputs"]["T1"] = str(tmp_path / "T1.nii.gz")
    Synthesizer().run(settings, Silent())
    straight = nibabel.as_closest_canonical(nibabel.load(out / "CBV_synthetic.nii.gz"))
    back = nibabel.as_closest_canonical(nibabel.load(tmp_path / "maps" / "CBV_synthetic.nii.gz"))
    np.testing.assert_allclose(back.affine, straight.affine, atol=1e-3)
    difference = np.abs(back.get_fdata() - straight.get_fdata())
    assert np.mean(difference) < 1e-3
    assert np.mean(difference > 0.05) < 1e-3


def test_missing_sequences_are_warned_of_and_filled_in(small_case, model, tmp_path):
    settings = parameters(small_case, tmp_path / "maps", model, simulated=False)
    del settings["inputs"]["ADC"], settings["inputs"]["FLAIR"]
    reporter = Silent()
    Synthesizer().run(settings, reporter)
    for name in ("FLAIR", "ADC"):
        assert any(f"{name} is missing" in warning for warning in reporter.warnings)
    assert any("only seen simulated brains" in warning for warning in reporter.warnings)
    run = json.loads((tmp_path / "maps" / "run.json").read_text())
    assert set(run["inputs"]) == {"T1", "T2", "brain_mask"}
    assert run["warnings"] == reporter.warnings


def test_without_t1_another_sequence_is_the_reference(small_case, model, tmp_path):
    settings = parameters(small_case, tmp_path / "maps", model)
    del settings["inputs"]["T1"]
    reporter = Silent()
    Synthesizer().run(settings, reporter)
    assert json.loads((tmp_path / "maps" / "run.json").read_text())["reference"] == "T2"
    assert any("grid of T2" in warning for warning in reporter.warnings)


def test_arrays_for_a_client(masked_maps, small_case, model, tmp_path):
    answer = Synthesizer().run(parameters(small_case, tmp_path / "maps", model, format="npy"), Silent())
    array = np.load(answer["maps"]["synthetic"], allow_pickle=False)
    assert array.flags.f_contiguous  # the order of VTK: the first index is fastest
    assert not array.flags.c_contiguous
    np.testing.assert_array_equal(
        array, nibabel.load(masked_maps / "CBV_synthetic.nii.gz").get_fdata().astype(np.float32)
    )
    assert read_volume(Path(answer["maps"]["synthetic"])).units == "nrCBV"


def test_the_model_stays_loaded_but_is_verified_at_every_job(small_case, tmp_path):
    model = write_tiny_model(tmp_path / "models" / "tiny")
    synthesizer = Synthesizer()
    synthesizer.run(parameters(small_case, tmp_path / "a", model), Silent())
    first = synthesizer._model
    synthesizer.run(parameters(small_case, tmp_path / "b", model), Silent())
    assert synthesizer._model is first
    weights = bytearray((model / WEIGHTS).read_bytes())
    weights[-1] ^= 1
    (model / WEIGHTS).write_bytes(weights)
    with pytest.raises(ModelError, match="altered"):
        synthesizer.run(parameters(small_case, tmp_path / "c", model), Silent())
    assert not (tmp_path / "c").exists()


def test_cancel_leaves_nothing(small_case, model, tmp_path):
    class Impatient(Silent):
        def __init__(self, stage):
            super().__init__()
            self.stage = stage

        def progress(self, stage, fraction):
            if stage == self.stage:
                raise Cancelled

    for stage in ("reading", "brain mask", "resampling", "synthesis", "writing"):
        find_brain = stage == "brain mask"
        with pytest.raises(Cancelled):
            Synthesizer().run(parameters(small_case, tmp_path / "maps", model, find_brain=find_brain), Impatient(stage))
        assert list(tmp_path.iterdir()) == [], stage


def bad_inputs(folder: Path, case: Path) -> dict[str, tuple[str, Path, str]]:
    """Faults of a T1 file: name → (role, file, words that the message must hold)."""
    t1 = read_volume(case / "T1.nii.gz")

    def stored(name: str, array: np.ndarray, affine: np.ndarray | None = None) -> Path:
        path = folder / f"{name}.nii.gz"
        nibabel.save(nibabel.Nifti1Image(array, t1.affine if affine is None else affine), path)
        return path

    text = folder / "text.nii.gz"
    text.write_text("Dear doctor, the images follow by post.")
    truncated = folder / "truncated.nii.gz"
    truncated.write_bytes((case / "T1.nii.gz").read_bytes()[:-20000])
    far = t1.affine.copy()
    far[:3, 3] += 5000
    with_nan = t1.array.astype(np.float32)
    with_nan[20:30, 20:30, 20:30] = np.nan
    shear = t1.affine.copy()
    shear[0, 1] += 2.0
    sheared = nibabel.Nifti1Image(t1.array, None)
    sheared.header.set_sform(shear, 1)
    sheared.header.set_qform(None, 0)
    nibabel.save(sheared, folder / "sheared.nii.gz")
    singular = nibabel.Nifti1Image(t1.array, None)
    singular.header.set_sform(np.diag([3.0, 3.0, 0.0, 1.0]), 1)
    singular.header.set_qform(None, 0)
    nibabel.save(singular, folder / "singular.nii.gz")
    return {
        "missing": ("T1", folder / "absent.nii.gz", "absent.nii.gz"),
        "text": ("T1", text, "text.nii.gz"),
        "truncated": ("T1", truncated, "truncated.nii.gz"),
        "2-D": ("T1", stored("flat", t1.array[:, :, 30]), "T1"),
        "4-D": ("T1", stored("four", np.stack([t1.array] * 3, axis=3)), "T1"),
        "zeros": ("T1", stored("zeros", np.zeros_like(t1.array)), "T1"),
        "constant": ("T1", stored("constant", np.full_like(t1.array, 7)), "T1"),
        "nan": ("T1", stored("nan", with_nan), "T1"),
        "far": ("T2", stored("far", t1.array, far), "T2"),
        "sheared": ("T1", folder / "sheared.nii.gz", "sheared.nii.gz"),
        "singular": ("T1", folder / "singular.nii.gz", "singular.nii.gz"),
    }


@pytest.mark.parametrize(
    "fault",
    ["missing", "text", "truncated", "2-D", "4-D", "zeros", "constant", "nan", "far", "sheared", "singular"],
)
def test_bad_input_is_one_clear_line_and_leaves_nothing(fault, small_case, model, tmp_path):
    bad = tmp_path / "bad"
    bad.mkdir()
    role, path, words = bad_inputs(bad, small_case)[fault]
    settings = parameters(small_case, tmp_path / "out" / "maps", model, find_brain=True)
    settings["inputs"][role] = str(path)
    with pytest.raises(InputError) as caught:
        Synthesizer().run(settings, Silent())
    assert words in caught.value.message
    assert "\n" not in str(caught.value)
    assert caught.value.hint
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({"device": "abacus"}, DeviceError, "abacus"),
        ({"model": "absent"}, ModelError, "absent"),
        ({"reference": "ASL"}, InputError, "ASL"),
        ({"reference": "X"}, InputError, "'X'"),
        ({"format": "jpg"}, InputError, "jpg"),
        ({"inputs": {}}, InputError, "No sequence"),
        ({"inputs": {"PET": "x"}}, InputError, "PET"),
        ({"registr": True}, InputError, "registr"),
        ({"register": "yes"}, InputError, "register"),
        ({"output": 3}, InputError, "output"),
    ],
)
def test_bad_parameters_are_named(changes, kind, words, small_case, model, tmp_path):
    with pytest.raises(kind, match=words):
        Synthesizer().run(parameters(small_case, tmp_path / "maps", model, **changes), Silent())
    assert list(tmp_path.iterdir()) == []


def test_an_occupied_output_folder_is_never_touched(small_case, model, tmp_path):
    out = tmp_path / "maps"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="not empty"):
        Synthesizer().run(parameters(small_case, out, model), Silent())
    assert [p.name for p in out.iterdir()] == ["notes.txt"]


@pytest.fixture
def tiny_disk(tmp_path):
    """A file system of 64 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], capture_output=True, check=False
    ).returncode:
        pytest.skip("mounting a small file system needs root; the failing write below covers this case without it")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_is_one_clear_line(small_case, model, tiny_disk):
    with pytest.raises(OutputError, match="disk is full"):
        Synthesizer().run(parameters(small_case, tiny_disk / "maps", model), Silent())
    assert list(tiny_disk.iterdir()) == []


def test_a_failing_write_is_one_clear_line(small_case, model, tmp_path, monkeypatch):
    def no_space(_descriptor):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OutputError, match="disk is full"):
        Synthesizer().run(parameters(small_case, tmp_path / "maps", model), Silent())
    assert list(tmp_path.iterdir()) == []


def test_oblique_thick_slices_keep_their_place(small_case, model, tmp_path):
    """An oblique T1 of thick slices: maps on its own grid, and lesion and brain where they are in the straight one."""
    t1 = read_volume(small_case / "T1.nii.gz")
    angle = np.deg2rad(12)
    turn = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([3.0, 3.0, 6.0])
    centre = t1.affine[:3, :3] @ ((np.array(t1.grid) - 1) / 2) + t1.affine[:3, 3]
    shape = (t1.grid[0], t1.grid[1], t1.grid[2] // 2 + 6)
    affine[:3, 3] = centre - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    from scipy import ndimage

    index = np.linalg.inv(t1.affine) @ affine
    oblique = ndimage.affine_transform(t1.array.astype(float), index[:3, :3], index[:3, 3], output_shape=shape, order=1)
    write_volume(Volume(oblique.astype(np.float32), affine), tmp_path / "T1.nii.gz")
    settings = parameters(small_case, tmp_path / "maps", model, find_brain=True)
    settings["inputs"]["T1"] = str(tmp_path / "T1.nii.gz")
    answer = Synthesizer().run(settings, Silent())
    brain = read_volume(Path(answer["brain"]))
    np.testing.assert_allclose(brain.affine, affine, atol=1e-3)
    truth = Case.read(small_case)
    points = np.argwhere(brain.array > 0) @ affine[:3, :3].T + affine[:3, 3]
    cbv = read_volume(truth.files[Role.CBV_TRUE])
    inside = np.argwhere(cbv.array > 0) @ cbv.affine[:3, :3].T + cbv.affine[:3, 3]
    assert np.linalg.norm(points.mean(axis=0) - inside.mean(axis=0)) < 6, "centre of the brain in mm"


def test_a_given_brain_mask_is_used(small_case, model, tmp_path):
    t1 = read_volume(small_case / "T1.nii.gz")
    mask = np.zeros(t1.grid, np.uint8)
    middle = [n // 2 for n in t1.grid]
    mask[tuple(slice(m - 8, m + 8) for m in middle)] = 1
    write_volume(Volume(mask, t1.affine), tmp_path / "mask.nii.gz")
    settings = parameters(small_case, tmp_path / "maps", model)
    settings["inputs"]["brain_mask"] = str(tmp_path / "mask.nii.gz")
    answer = Synthesizer().run(settings, Silent())
    np.testing.assert_array_equal(read_volume(Path(answer["brain"])).array, mask)
    assert json.loads(Path(answer["run"]).read_text(encoding="utf-8"))["preparation"]["brain_mask"]["method"] == "given"


def test_stated_units_are_used_and_need_no_guess(masked_maps, small_case, model, tmp_path):
    """ADC in 10⁻⁶ mm²/s: stated, it is converted silently; not stated, the guess is told."""
    adc = read_volume(small_case / "ADC.nii.gz")
    write_volume(Volume((adc.array * 1000).astype(np.float32), adc.affine), tmp_path / "ADC.nii.gz")
    maps = {}
    for name, extra in (("stated", {"units": {"ADC": "10⁻⁶ mm²/s"}}), ("guessed", {})):
        settings = parameters(small_case, tmp_path / name, model, **extra)
        settings["inputs"]["ADC"] = str(tmp_path / "ADC.nii.gz")
        reporter = Silent()
        maps[name] = Synthesizer().run(settings, reporter)["maps"]["synthetic"]
        assert any("10⁻⁶" in warning for warning in reporter.warnings) == (name == "guessed")
    expected = nibabel.load(masked_maps / "CBV_synthetic.nii.gz").get_fdata()
    for path in maps.values():
        np.testing.assert_allclose(nibabel.load(path).get_fdata(), expected, atol=0.01)


def test_case_folders_from_elsewhere_are_not_needed(small_case, model, tmp_path):
    """Bare files without a case.json are enough."""
    for name in SEQUENCE_NAMES:
        shutil.copy(small_case / f"{name}.nii.gz", tmp_path / f"{name}.nii.gz")
    shutil.copy(small_case / "brain_mask_true.nii.gz", tmp_path)
    answer = Synthesizer().run(parameters(tmp_path, tmp_path / "maps", model), Silent())
    assert Path(answer["maps"]["synthetic"]).is_file()
