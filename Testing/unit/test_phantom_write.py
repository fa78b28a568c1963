"""Case folders of simulated patients: contents, determinism, faults, cancellation."""

import hashlib
import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import nibabel
import numpy as np
import pytest

from HierSynthLib.case import Case, Role
from HierSynthLib.errors import Cancelled, OutputError
from HierSynthLib.phantom import GENERATOR_VERSION, make_phantom, write_phantom
from HierSynthLib.volume import Volume

ROOT = Path(__file__).parents[2]
GOLDEN = Path(__file__).with_name("phantom_checksums.json")
"""SHA-256 of the voxels of small phantoms. After an intended change of the generator raise `GENERATOR_VERSION` and run
`PYTHONPATH=. python Testing/unit/test_phantom_write.py` in the repository to rewrite it."""
GOLDEN_CASES = (("mni152", 11, "high"), ("procedural", 12, "low"))


def checksums(phantom):
    """SHA-256 by role, and percentiles of the CBV map that is processed in single precision, whose last bits differ."""
    found = {
        role.value: hashlib.sha256(np.ascontiguousarray(volume.array).tobytes()).hexdigest()
        for role, volume in phantom.volumes.items()
    }
    if Role.CBV_ACQUIRED in phantom.volumes:
        values = phantom.volumes[Role.CBV_ACQUIRED].array
        found["CBV_acquired"] = np.percentile(values[values != 0], [5, 25, 50, 75, 95]).round(2).tolist()
    return found


@cache
def golden_phantom(anatomy, seed, grade):
    """A small phantom, made once in this process; do not change it."""
    return make_phantom(seed, grade, "small", anatomy=anatomy)


def golden():
    return {
        "generator": GENERATOR_VERSION,
        "cases": {f"{a} {s} {g}": checksums(golden_phantom(a, s, g)) for a, s, g in GOLDEN_CASES},
    }


def test_phantoms_are_the_same_on_every_machine():
    assert golden() == json.loads(GOLDEN.read_text(encoding="utf-8"))


def test_another_process_with_other_threads_and_processor_gives_the_same():
    code = (
        "import json, sys; sys.path.insert(0, 'Testing/unit'); from test_phantom_write import checksums;"
        "from HierSynthLib.phantom import make_phantom; print(json.dumps(checksums(make_phantom(11, 'high', 'small'))))"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_CORETYPE": "Nehalem", "PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert json.loads(result.stdout) == json.loads(GOLDEN.read_text(encoding="utf-8"))["cases"]["mni152 11 high"]


def test_seeds_give_different_people():
    first, second = (make_phantom(seed, "none", spacing_mm=6.0, dsc=False) for seed in (1, 2))
    brains = [p.volumes[Role.BRAIN].array == 1 for p in (first, second)]
    dice = 2 * (brains[0] & brains[1]).sum() / (brains[0].sum() + brains[1].sum())
    assert dice < 0.97
    assert first.facts["tissues"] != second.facts["tissues"]
    assert checksums(first) != checksums(second)


def test_case_folder_is_complete(tmp_path):
    out = tmp_path / "case"
    case = write_phantom(out, seed=11, grade="high", size="small")
    read = Case.read(out)
    assert read == case
    assert case.simulated
    assert set(case.files) == {
        Role.T1, Role.T2, Role.FLAIR, Role.ADC, Role.DSC, Role.CBV_TRUE, Role.CBV_ACQUIRED, Role.ROI,
    }  # fmt: skip
    files = {path.name for path in out.iterdir()}
    assert files == {path.name for path in case.files.values()} | {
        "case.json", "brain_mask_true.nii.gz", "DSC.json", "DSC_brain_mask_true.nii.gz", "DSC_NAWM_true.nii.gz",
    }  # fmt: skip
    assert case.facts["true_brain_mask"] == "brain_mask_true.nii.gz"
    assert case.units[Role.CBV_TRUE] == "nrCBV"
    assert case.labels[4] == "NAWM reference"
    assert (case.facts["seed"], case.facts["grade"]) == (11, "high")
    written = {}
    for role, path in case.files.items():
        image = nibabel.load(path)
        written[role] = Volume(np.asarray(image.dataobj), image.affine)
        assert image.header["descrip"].item().decode().startswith("SIMULATED")
    expected = json.loads(GOLDEN.read_text(encoding="utf-8"))["cases"]["mni152 11 high"]
    del expected["brain_mask"]
    assert checksums(SimpleNamespace(volumes=written)) == expected
    assert written[Role.DSC].same_grid(written[Role.CBV_ACQUIRED])
    phantom = golden_phantom("mni152", 11, "high")
    for role in (Role.T1, Role.T2, Role.FLAIR, Role.ADC, Role.CBV_TRUE, Role.ROI):
        np.testing.assert_allclose(written[role].affine, phantom.volumes[role].affine, atol=1e-3)
    assert not any(path.name.startswith(".") for path in tmp_path.iterdir())


def test_a_folder_that_is_not_empty_is_refused_at_once(tmp_path):
    out = tmp_path / "case"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="case"):
        write_phantom(out, seed=1, size="full")
    assert [path.name for path in tmp_path.rglob("*")] == ["case", "notes.txt"]


class _Stopper:
    """A reporter that is told to stop at the first report of a stage."""

    def __init__(self, stage):
        self.stage = stage
        self.seen = []

    def progress(self, stage, fraction):
        self.seen.append((stage, fraction))
        if stage == self.stage:
            raise Cancelled

    def warning(self, message):
        raise AssertionError(message)


@pytest.mark.parametrize("stage", ["anatomy", "tissue", "acquisition", "writing"])
def test_cancel_leaves_nothing(tmp_path, stage):
    with pytest.raises(Cancelled):
        write_phantom(tmp_path / "case", seed=1, grade="none", spacing_mm=6.0, dsc=False, reporter=_Stopper(stage))
    assert list(tmp_path.iterdir()) == []


def test_cancel_at_the_very_end_leaves_nothing_either(tmp_path):
    class AtTheEnd(_Stopper):
        def progress(self, stage, fraction):
            if fraction == 1.0:
                raise Cancelled

    with pytest.raises(Cancelled):
        write_phantom(tmp_path / "case", seed=1, grade="none", spacing_mm=6.0, dsc=False, reporter=AtTheEnd(None))
    assert list(tmp_path.iterdir()) == []


def test_progress_rises_from_nothing_to_all(tmp_path):
    reporter = _Stopper(None)
    write_phantom(tmp_path / "case", seed=1, grade="none", spacing_mm=6.0, reporter=reporter)
    fractions = [fraction for _, fraction in reporter.seen]
    assert fractions == sorted(fractions)
    assert fractions[0] == 0
    assert fractions[-1] == 1
    assert {stage for stage, _ in reporter.seen} == {"anatomy", "tissue", "acquisition", "writing"}


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps(golden(), indent=1) + "\n", encoding="utf-8")
