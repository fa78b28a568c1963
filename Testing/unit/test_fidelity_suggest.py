"""The job "suggest_regions": from files to regions, on a small simulated patient."""

import json

import numpy as np
import pytest

from HierSynthLib.errors import Cancelled, InputError
from HierSynthLib.fidelity.regions import suggest
from HierSynthLib.fidelity.regions.masks import rasterise
from HierSynthLib.fidelity.regions.shapes import Region
from HierSynthLib.fidelity.regions.suggest import suggest_regions
from HierSynthLib.preparation.brain_mask import MaskQuality
from HierSynthLib.preparation.grid import Grid
from HierSynthLib.progress import Silent
from HierSynthLib.volume import Volume, read_volume, write_volume
from HierSynthLib.worker.jobs import standard_jobs

TUMOUR = (1, 2)


class Watching(Silent):
    """Remembers the reports, and cancels after some."""

    def __init__(self, cancel_after=None):
        super().__init__()
        self.reports, self._cancel_after = [], cancel_after

    def progress(self, stage, fraction):
        self.reports.append(fraction)
        if self._cancel_after is not None and len(self.reports) > self._cancel_after:
            raise Cancelled


def file_of(case, stem):
    return str(next(path for path in case.iterdir() if path.name.split(".")[0] == stem))


def order(case, **changes):
    lesion = {"kind": "labels", "file": file_of(case, "ROI"), "values": list(TUMOUR)}
    return {
        "what": ["reference", "hotspots"],
        "anatomy": {name: file_of(case, name) for name in ("T1", "T2", "FLAIR", "ADC")},
        "brain": file_of(case, "brain_mask_true"),
        "lesion": [{"name": "Tumour", "shapes": [lesion]}],
        "maps": {"synthetic": file_of(case, "CBV_true"), "acquired": file_of(case, "CBV_acquired")},
        "count": 4,
        "diameter_mm": 6.0,
    } | changes


@pytest.fixture(scope="module")
def result(small_case):
    reporter = Watching()
    found = standard_jobs()["suggest_regions"](order(small_case), reporter)
    assert reporter.reports[-1] == 1.0
    assert len(reporter.reports) > 100
    return found


def grid_of(path):
    volume = read_volume(path)
    return volume, Grid(volume.grid, volume.affine)


def test_everything_is_plain_json(result):
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert result["symmetry"]["correlation"] > 0.3
    assert np.linalg.norm(result["symmetry"]["normal"]) == pytest.approx(1)


def test_the_reference_has_the_blood_volume_of_white_matter(small_case, result):
    reference = Region.from_json(result["reference"])
    volume, grid = grid_of(file_of(small_case, "CBV_true"))
    assert reference.role == "reference"
    assert len(reference.shapes) == 3
    assert rasterise(reference, grid, None).of(volume.array).mean() == pytest.approx(1.0, abs=0.15)


@pytest.mark.parametrize(("name", "stem"), [("synthetic", "CBV_true"), ("acquired", "CBV_acquired")])
def test_hotspots_lie_in_the_lesion_on_the_grid_of_their_own_map(small_case, result, name, stem):
    volume, grid = grid_of(file_of(small_case, stem))
    lesion = rasterise(Region.from_json(order(small_case)["lesion"][0]), grid, read_volume)
    inside = np.zeros(grid.shape, bool)
    inside[lesion.slices] = lesion.inside
    spots = [Region.from_json(fields) for fields in result["hotspots"][name]]
    assert [spot.name for spot in spots] == [f"Hotspot {n} ({name})" for n in (1, 2, 3, 4)]
    means = []
    for spot in spots:
        mask = rasterise(spot, grid, None)
        assert spot.role == "hotspot"
        assert mask.of(inside).mean() >= 0.9
        means.append(float(mask.of(volume.array).mean(dtype=float)))
    assert means == sorted(means, reverse=True)
    assert result["means"][name] == pytest.approx(means, rel=1e-5)
    assert means[0] > np.median(lesion.of(volume.array))


def test_the_brain_is_computed_where_no_mask_is_given(small_case, monkeypatch):
    true = read_volume(file_of(small_case, "brain_mask_true"))
    asked = []

    def found(values, grid, *, given, reporter):
        asked.append(given)
        return true.array > 0, MaskQuality("thresholds", 1400.0, "poor", "Not sure.")

    monkeypatch.setattr(suggest, "brain_mask", found)
    wish = order(small_case, brain=None, what=["reference"], anatomy={"T1": file_of(small_case, "T1")})
    result = suggest_regions(wish, Silent())
    assert asked == [None]
    assert result["reference"] is not None
    assert result["warnings"] == ["Brain mask for the reference (poor): Not sure."]


def test_adc_in_other_units_is_converted(small_case, tmp_path):
    adc = read_volume(file_of(small_case, "ADC"))
    write_volume(Volume((adc.array * 1000).astype(np.int16), adc.affine), tmp_path / "adc.nii.gz")
    wish = order(small_case, what=["reference"])
    wish["anatomy"] = {"T1": wish["anatomy"]["T1"], "ADC": str(tmp_path / "adc.nii.gz")}
    result = suggest_regions(wish, Silent())
    assert result["reference"] is not None
    assert any("10⁻⁶ mm²/s" in warning for warning in result["warnings"])


def test_hotspots_need_no_anatomy_and_a_reference_no_maps(small_case):
    without = suggest_regions({**order(small_case, what=["hotspots"]), "anatomy": {}, "brain": None}, Silent())
    assert without["reference"] is None
    assert without["symmetry"] is None
    assert without["warnings"] == []
    assert len(without["hotspots"]["acquired"]) == 4


def test_what_is_missing_is_said(small_case, tmp_path):
    brain = read_volume(file_of(small_case, "brain_mask_true"))
    write_volume(Volume(np.zeros(brain.grid, np.uint8), brain.affine), tmp_path / "empty.nii.gz")
    result = suggest_regions(order(small_case, lesion=[], brain=str(tmp_path / "empty.nii.gz")), Silent())
    assert result["reference"] is None
    assert result["hotspots"] == {"synthetic": [], "acquired": []}
    assert any("The brain mask is empty" in warning for warning in result["warnings"])
    assert any("there is no lesion to look in" in warning for warning in result["warnings"])
    nothing = suggest_regions({"what": ["reference"]}, Silent())
    assert nothing["warnings"] == [
        "No reference is suggested: there is no T1, T2, FLAIR or ADC volume. Place it by hand."
    ]


def test_a_lesion_outside_the_map_is_said(small_case):
    far = {"name": "Far", "shapes": [{"kind": "sphere", "centre": [900, 0, 0], "radius_mm": 9}]}
    result = suggest_regions(order(small_case, what=["hotspots"], lesion=[far]), Silent())
    assert "Far (acquired): It lies outside the map." in result["warnings"]
    assert result["hotspots"]["acquired"] == []


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"what": []}, "cannot be suggested"),
        ({"what": ["brain"]}, "cannot be suggested"),
        ({"what": "reference"}, "cannot be suggested"),
        ({"anatomy": ["a"]}, "anatomy does not give a file by name"),
        ({"maps": {"a": None}}, "maps does not give a file by name"),
        ({"brain": 3}, "brain is not the name of a file"),
        ({"lesion": {"name": "x"}}, "lesion is no list"),
        ({"lesion": [{"name": "x", "shapes": [{"kind": "ball"}]}]}, "The region 'x', shape 1"),
        ({"count": 0}, "count is 0"),
        ({"count": True}, "count is True"),
        ({"diameter_mm": -1}, "diameter_mm is -1"),
        ({"diameter_mm": float("nan")}, "diameter_mm is nan"),
        ({"diameter_mm": None}, "diameter_mm is None"),
        ({"maps": {"a": "/nowhere/map.nii.gz"}, "what": ["hotspots"]}, "does not exist"),
    ],
)
def test_faulty_parameters_are_named(small_case, change, fault):
    with pytest.raises(InputError, match=fault):
        suggest_regions(order(small_case, **change), Silent())


@pytest.mark.parametrize("reports", [0, 5, 60])
def test_it_can_be_cancelled_at_any_time(small_case, reports):
    with pytest.raises(Cancelled):
        suggest_regions(order(small_case), Watching(cancel_after=reports))
