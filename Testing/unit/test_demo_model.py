"""The model that is shipped, on a simulated patient it has not seen: a map of this brain, not of any brain."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from HierSynthLib.case import REFERENCE_LABEL, SEQUENCES, Role
from HierSynthLib.phantom import make_phantom
from HierSynthLib.progress import Silent
from HierSynthLib.synthesis.job import Synthesizer
from HierSynthLib.synthesis.package import DEFAULT_MODEL, WEIGHTS, find_model, verify_model
from HierSynthLib.volume import read_volume, write_volume

SPACING_MM = 2.0


@pytest.fixture(scope="module")
def patient():
    return make_phantom(seed=7001, grade="high", spacing_mm=SPACING_MM, dsc=False)


@pytest.fixture(scope="module")
def brain(patient):
    """The brain within 28 mm above and below the lesion: half of the slices, and still every tissue."""
    height = int(np.argwhere(patient.volumes[Role.ROI].array == 1).mean(axis=0)[2])
    slab = np.zeros_like(patient.volumes[Role.BRAIN].array)
    slab[..., max(height - 14, 0) : height + 14] = 1
    return patient.volumes[Role.BRAIN].array * slab


@pytest.fixture(scope="module")
def maps(patient, brain, tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo model")
    inputs = {"brain_mask": str(folder / "brain.nii.gz")}
    write_volume(replace(patient.volumes[Role.BRAIN], array=brain), Path(inputs["brain_mask"]))
    for role in SEQUENCES:
        inputs[str(role)] = str(folder / f"{role}.nii.gz")
        write_volume(patient.volumes[role], Path(inputs[str(role)]))
    settings = {"inputs": inputs, "output": str(folder / "maps"), "device": "cpu", "simulated": True}
    result = Synthesizer().run(settings, Silent())
    return {name: read_volume(Path(path)).array for name, path in result["maps"].items()}


def mean_in(array, fraction, threshold=0.95):
    return float(array[fraction > threshold].mean())


def test_it_is_small_and_verifies():
    folder = find_model(DEFAULT_MODEL)
    assert (folder / WEIGHTS).stat().st_size <= 12e6
    info = verify_model(folder)
    assert info.settings.sequences == SEQUENCES
    assert info.settings.simulated_training


def test_grey_lies_above_white_matter_and_fluid_is_dark(patient, brain, maps):
    truth, synthetic = patient.truth, maps["synthetic"]
    tissue = (truth["vessel"] < 0.01) & (brain > 0)
    grey = mean_in(synthetic, truth["grey_matter"] * tissue)
    white = mean_in(synthetic, truth["white_matter"] * tissue)
    fluid = mean_in(synthetic, truth["csf"] * tissue)
    assert 0.7 < white < 1.4, "nrCBV of white matter is about 1"
    assert grey / white > 1.3, "in the phantom it is 2"
    assert fluid / white < 0.6


def test_the_lesion_shows_where_it_is(patient, maps):
    labels = {name: number for number, name in patient.labels.items()}
    roi, synthetic = patient.volumes[Role.ROI].array, maps["synthetic"]
    rim = float(synthetic[roi == labels["enhancing"]].mean())
    core = float(synthetic[roi == labels["necrosis"]].mean())
    reference = float(synthetic[roi == labels[REFERENCE_LABEL]].mean())
    assert rim / reference > 2
    assert core < 0.6 * rim


def test_the_local_module_brings_the_map_closer_to_the_truth(patient, brain, maps):
    truth, brain = np.clip(patient.volumes[Role.CBV_TRUE].array, 0, 10), brain > 0
    error = {name: float(np.abs(maps[name] - truth)[brain].mean()) for name in ("synthetic", "global")}
    assert error["synthetic"] < 0.95 * error["global"]
    assert error["synthetic"] < 0.8


def test_the_interval_covers_most_of_the_errors(patient, brain, maps):
    truth, brain = np.clip(patient.volumes[Role.CBV_TRUE].array, 0, 10), brain > 0
    inside = np.abs(maps["synthetic"] - truth) <= maps["uncertainty"]
    assert 0.65 < inside[brain].mean() < 0.92
