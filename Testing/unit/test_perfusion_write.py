"""What is written of a processed series: images with units, curves, quality."""

import csv
import json
from dataclasses import fields, replace

import nibabel
import numpy as np
import pytest

from HierSynthLib.errors import Cancelled
from HierSynthLib.perfusion.options import Options
from HierSynthLib.perfusion.pipeline import process
from HierSynthLib.perfusion.qc import Quality
from HierSynthLib.perfusion.units import UNITS
from HierSynthLib.perfusion.write import QC_UNITS, WORDS, describe_quality, quality_lines, write_curves, write_maps
from HierSynthLib.progress import Silent
from HierSynthLib.volume import read_volume
from Testing.unit.test_perfusion_head import make_head


@pytest.fixture(scope="module")
def result():
    return process(make_head((22, 27, 10), (6.4, 6.4, 9.6), frames=60).series, Options(motion=False))


def test_every_map_has_words_and_every_number_units():
    assert set(WORDS) == set(UNITS)
    assert set(QC_UNITS) == {field.name for field in fields(Quality)} - {"warnings"}


def test_maps_are_images_whose_header_and_json_name_the_units(result, tmp_path):
    write_maps(tmp_path, result, "nii.gz", simulated=False, reporter=Silent())
    described = json.loads((tmp_path / "maps.json").read_text("utf-8"))
    assert set(described["maps"]) == set(result.maps)
    for name, entry in described["maps"].items():
        image = nibabel.load(tmp_path / entry["file"])
        assert entry["units"] == result.units[name]
        assert bytes(image.header["descrip"]).rstrip(b"\0").decode() == f"DSC {name} [{entry['units']}], research only"
        np.testing.assert_array_equal(np.asarray(image.dataobj), result.maps[name])
        np.testing.assert_allclose(image.affine, result.affine)
    assert set(described["masks"]) == {"brain_mask", "non_enhancing_mask", "aif_mask"}
    aif = read_volume(tmp_path / described["masks"]["aif_mask"]).array
    assert {tuple(voxel) for voxel in np.argwhere(aif)} == {tuple(voxel) for voxel in result.aif.voxels}


def test_maps_of_a_simulated_patient_say_so(result, tmp_path):
    write_maps(tmp_path, result, "nii.gz", simulated=True, reporter=Silent())
    assert bytes(nibabel.load(tmp_path / "CBF.nii.gz").header["descrip"]).startswith(
        b"SIMULATED DSC CBF [ml/100 g/min]"
    )


def test_arrays_for_a_client_that_wants_them(result, tmp_path):
    write_maps(tmp_path, result, "npy", simulated=False, reporter=Silent())
    found = read_volume(tmp_path / "CBV.npy")
    assert found.units == "ml/100 g"
    np.testing.assert_array_equal(found.array, result.maps["CBV"])


def test_writing_can_be_cancelled(result, tmp_path):
    class Impatient(Silent):
        def progress(self, stage, fraction):
            raise Cancelled

    with pytest.raises(Cancelled):
        write_maps(tmp_path, result, "nii.gz", simulated=False, reporter=Impatient())


def read_columns(path):
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: [row[name] for row in rows] for name in rows[0]}


def test_curves_are_columns_over_time(result, tmp_path):
    write_curves(tmp_path / "curves.csv", result)
    columns = read_columns(tmp_path / "curves.csv")
    expected = {
        "time_s": 1.5 * np.arange(60),
        "aif_per_s": result.aif.curve,
        "brain_per_s": result.curves.brain,
        "non_enhancing_per_s": result.curves.non_enhancing,
        "brain_corrected_per_s": result.curves.corrected,
        "brain_signal_au": result.curves.brain_signal,
    }
    for name, values in expected.items():
        np.testing.assert_allclose(np.array(columns[name], float), values, rtol=1e-5, atol=1e-12)
    assert columns["frame"] == [str(frame) for frame in range(60)]
    assert set(columns["motion_mm"]) == {""}


def test_a_column_is_empty_without_an_aif(result, tmp_path):
    write_curves(tmp_path / "curves.csv", replace(result, aif=None))
    assert set(read_columns(tmp_path / "curves.csv")["aif_per_s"]) == {""}
    assert describe_quality(replace(result, aif=None))["aif"] is None


def test_the_quality_is_json_even_where_there_is_no_noise(result):
    silent = replace(result, quality=replace(result.quality, baseline_snr=float("inf")))
    described = json.loads(json.dumps(describe_quality(silent), allow_nan=False))
    assert described["numbers"]["baseline_snr"] is None
    assert described["numbers"]["aif_voxels"] == len(described["aif"]["voxels"]) == len(result.aif.voxels)
    assert described["warnings"] == list(result.quality.warnings)
    first = np.array(described["aif"]["voxels"][0])
    position = result.affine[:3, :3] @ first + result.affine[:3, 3]
    np.testing.assert_allclose(described["aif"]["positions_ras_mm"][0], position, atol=0.01)
    bolus = described["bolus"]
    assert bolus["baseline_first_frame"] < bolus["baseline_last_frame"] < bolus["arrival_frame"] < bolus["peak_frame"]


def test_numbers_for_people():
    numbers = {
        "baseline_frames": 12,
        "baseline_snr": None,
        "bolus_drop_percent": 31.64,
        "after_peak_s": 105.0,
        "brain_ml": 1846.2,
        "fitted_percent": 99.12,
        "unusable_percent": 0.0,
        "non_enhancing_percent": 97.0,
        "motion_mm": 2.31,
        "motion_deg": 1.0,
        "motion_frames": 1,
        "aif_voxels": 0,
    }
    said = dict(quality_lines(numbers))
    assert said["baseline"] == "12 frames, SNR –"
    assert said["brain"] == "1846 ml"
    assert said["largest motion"] == "2.3 mm, 1.0°; 1 frame moved back"
    assert said["AIF"] == "none"
