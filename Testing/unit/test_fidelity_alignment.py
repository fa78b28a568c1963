"""How the volumes of a case are brought to the synthetic map, and what is measured of a case."""

import json

import numpy as np
import pytest

from HierSynthLib.case import Case, Role
from HierSynthLib.errors import InputError
from HierSynthLib.fidelity.measures.job_parameters import Staging
from HierSynthLib.fidelity.measures.settings import Settings
from HierSynthLib.fidelity.report.alignment import align, movement
from HierSynthLib.fidelity.report.subject import (
    Choices,
    SyntheticMap,
    describe_subject,
    open_synthetic,
    parse_names,
)
from HierSynthLib.preparation.grid import resample
from HierSynthLib.progress import Silent
from HierSynthLib.volume import Volume, read_volume, write_volume
from Testing.hand_made_fidelity import write_synthesis, write_tiny_case


@pytest.fixture(scope="module")
def tiny_case(tmp_path_factory):
    return write_tiny_case(tmp_path_factory.mktemp("tiny") / "p1")


def subject_of(folder, run=None, choices=None, name="synthetic.nii"):
    return describe_subject(
        Case.open(folder), [SyntheticMap("synthetic", folder / name, run)], choices or Choices()
    )  # fmt: skip


def placed(placements, name):
    (one,) = [placement for placement in placements if placement.map == name]
    return one


# --- alignment -------------------------------------------------------------------------------------------------------


@pytest.fixture
def simulated(small_case):
    """A simulated patient, with its true map in the part of the synthetic one."""
    return subject_of(small_case, name="CBV_true.nii.gz")


def likeness(acquired, true, transform):
    """Correlation of the true map and the acquired one brought onto it, where there is signal."""
    moved = resample(acquired.array, acquired.affine, true.grid, true.affine, transform=transform)
    inside = true.array > 0.3
    return np.corrcoef(moved[inside], true.array[inside])[0, 1]


def test_a_simulated_patient_is_aligned_by_its_record(simulated):
    placement = placed(align(simulated, None, Silent()), "acquired")
    assert placement.method == "simulation"
    assert "simulation's own record" in placement.words
    acquired, true = (read_volume(simulated.case.files[role]) for role in (Role.CBV_ACQUIRED, Role.CBV_TRUE))
    found = likeness(acquired, true, placement.transform)
    assert found > likeness(acquired, true, None)
    assert found > likeness(acquired, true, np.linalg.inv(placement.transform))
    shift, angle = movement(placement.transform, np.zeros(3))
    assert f"{angle:.1f}°" in placement.words
    assert shift > 0
    assert placed(align(simulated, None, Silent()), "true").transform is None


def test_a_map_in_the_space_of_another_sequence(small_case):
    """The synthetic map lies where FLAIR lies: its point goes back to the anatomy, and from there to the series."""
    subject = subject_of(small_case, run={"reference": "FLAIR"}, name="CBV_true.nii.gz")
    record = {name: np.array(matrix) for name, matrix in subject.case.facts["transforms"].items()}
    placements = align(subject, None, Silent())
    anatomy = np.array([10.0, -20.0, 30.0, 1.0])
    in_flair = record["FLAIR"] @ anatomy
    np.testing.assert_allclose(placed(placements, "acquired").transform @ in_flair, record["CBV_acquired"] @ anatomy)
    np.testing.assert_allclose(placed(placements, "true").transform @ in_flair, anatomy)
    np.testing.assert_allclose(placed(placements, "T2").transform @ in_flair, record["T2"] @ anatomy)
    assert placed(placements, "FLAIR").method == "reference"
    assert any("grid of FLAIR" in warning for warning in subject.warnings)


def test_files_are_trusted_where_nothing_is_known_or_wished(simulated, tiny_case):
    placement = placed(align(simulated, False, Silent()), "acquired")
    assert (placement.method, placement.transform) == ("file", None)
    placement = placed(align(subject_of(tiny_case), None, Silent()), "acquired")
    assert (placement.method, placement.transform) == ("file", None)
    assert "--register" in placement.words


def test_sequences_lie_where_the_synthesis_registered_them(small_case):
    matrix = np.eye(4)
    matrix[0, 3] = 2.5
    run = {"reference": "T1", "preparation": {"transforms": {"T2": matrix.tolist(), "ADC": [[1, 2]], "FLAIR": "x"}}}
    placements = align(subject_of(small_case, run, name="CBV_true.nii.gz"), None, Silent())
    t2 = placed(placements, "T2")
    assert t2.method == "synthesis"
    assert "2.5 mm, 0.0°" in t2.words
    np.testing.assert_allclose(t2.transform, matrix)
    assert placed(placements, "ADC").method == "simulation"  # a broken matrix is not used


@pytest.mark.parametrize("broken", [None, [[1.0]], np.zeros((4, 4)).tolist(), [["a"] * 4] * 4])
def test_a_broken_record_is_not_used(small_case, broken):
    subject = subject_of(small_case, name="CBV_true.nii.gz")
    subject.case.facts["transforms"]["CBV_acquired"] = broken
    assert placed(align(subject, None, Silent()), "acquired").method == "file"


def test_registration_finds_the_movement(simulated):
    known = placed(align(simulated, None, Silent()), "acquired").transform
    placement = placed(align(simulated, True, Silent()), "acquired")
    assert placement.method == "registration"
    found = np.eye(4) if placement.transform is None else placement.transform
    points = np.array([[40, 0, 0, 1], [-40, 0, 0, 1], [0, 50, 0, 1], [0, -50, 0, 1], [0, 0, 40, 1.0]]).T
    errors = np.linalg.norm(((found - known) @ points)[:3], axis=0)
    assert errors.max() < 3.0  # one voxel of the small patient
    json.dumps(placement.to_json(), allow_nan=False)


def test_there_is_nothing_to_register_to(tiny_case, tmp_path):
    case = Case.open(tiny_case)
    alone = Case("p1", {role: path for role, path in case.files.items() if role != Role.T1})
    subject = describe_subject(alone, [SyntheticMap("synthetic", tiny_case / "synthetic.nii")], Choices())
    with pytest.raises(InputError, match="no anatomical volume"):
        align(subject, True, Silent())


# --- what is measured ------------------------------------------------------------------------------------------------


def test_regions_and_reference_by_label(tiny_case):
    subject = subject_of(tiny_case)
    assert [region.name for region in subject.lesions] == ["Whole lesion", "enhancing", "oedema"]
    assert subject.lesions[0].shapes[0].values == (1, 2)
    assert subject.reference.shapes[0].values == (4,)
    assert subject.reference.source == "label 4 (NAWM reference) of the label map"
    by_number = subject_of(tiny_case, choices=Choices(reference="2"))
    assert by_number.reference.shapes[0].values == (2,)
    assert [region.name for region in by_number.lesions] == ["enhancing"]  # a single label needs no whole


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        (Choices(reference="thalamus"), r"no label 'thalamus'. It has: 1 \(enhancing\), 2 \(oedema\)"),
        (Choices(also=(Role.FLAIR,)), "--also: the case p1 has no FLAIR"),
    ],
)
def test_choices_that_cannot_be(tiny_case, choices, said):
    with pytest.raises(InputError, match=said):
        subject_of(tiny_case, choices=choices)


def test_files_that_are_missing(tiny_case, tmp_path):
    with pytest.raises(InputError, match=r"acquired: .*no.nii does not exist"):
        subject_of(tiny_case, choices=Choices(acquired=tmp_path / "no.nii"))
    with pytest.raises(InputError, match=r"ROI: .* does not exist"):
        subject_of(tiny_case, choices=Choices(roi=tmp_path / "no.nii"))


@pytest.mark.parametrize("values", [[0, 1, 1.5], [0, -1, 1], [0, 1, np.nan], list(range(80))])
def test_a_label_map_that_is_none(tiny_case, tmp_path, values):
    array = np.zeros((4, 5, 6), np.float32)
    array.flat[: len(values)] = values
    write_volume(Volume(array), tmp_path / "roi.nii")
    with pytest.raises(InputError, match=r"roi\.nii"):
        subject_of(tiny_case, choices=Choices(roi=tmp_path / "roi.nii"))


def test_what_is_missing_is_warned_of(tiny_case):
    case = Case.open(tiny_case)
    bare = Case("p1", {Role.T1: case.files[Role.T1]})
    subject = describe_subject(bare, [SyntheticMap("synthetic", tiny_case / "synthetic.nii")], Choices())
    warnings = " ".join(subject.warnings)
    for word in ("no label map", "no brain mask"):
        assert word in warnings
    with pytest.raises(InputError, match="needs a label map"):
        describe_subject(bare, subject.synthetic, Choices(reference="4"))


def test_a_synthesis_brings_its_provenance(tiny_case, tmp_path):
    folder = write_synthesis(tmp_path / "maps", tiny_case)
    for path in (folder, folder / "CBV_synthetic.nii"):
        found = open_synthetic("synthetic", path)
        assert found.path == folder / "CBV_synthetic.nii"
        assert found.run["model"]["name"] == "tiny"
        assert found.brain == folder / "brain_mask.nii"
    (folder / "other.nii").touch()
    assert open_synthetic("other", folder / "other.nii").run is None  # not of this synthesis


def test_a_synthesis_that_cannot_be_used(tiny_case, tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        open_synthetic("synthetic", tmp_path / "nowhere")
    folder = write_synthesis(tmp_path / "maps", tiny_case, outputs={"synthetic": "../p1/synthetic.nii"})
    with pytest.raises(InputError, match="names no synthetic map"):
        open_synthetic("synthetic", folder)
    (folder / "run.json").write_text("{")
    with pytest.raises(InputError, match="cannot be read"):
        open_synthetic("synthetic", folder)


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["maps"], [("synthetic", "maps")]),
        (["global=maps/a.nii", "U-Net (2)=b=c.nii"], [("global", "maps/a.nii"), ("U-Net (2)", "b=c.nii")]),
        (["maps/run=3/a.nii"], [("synthetic", "maps/run=3/a.nii")]),
    ],
)
def test_names_of_maps(arguments, names):
    assert parse_names(arguments) == names


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["a.nii", "b.nii"], "without names"),
        (["x=a.nii", "x=b.nii"], "'x' is given twice"),
        (["acquired=a.nii"], "another meaning"),
        (["x uncertainty=a.nii"], "another meaning"),
        (["<b>=a.nii"], "no name"),
        (["_unet=a.nii"], "'_unet' is no name of a map"),
        (["x="], "names no file"),
    ],
)
def test_bad_names_of_maps(arguments, said):
    with pytest.raises(InputError, match=said):
        parse_names(arguments)


# --- parameters of the jobs ------------------------------------------------------------------------------------------


def test_adc_in_other_units_is_converted(tiny_case, tmp_path):
    case = Case.open(tiny_case)
    adc = np.full((34, 40, 32), 800.0, np.float32)
    adc[:3] = 0
    write_volume(Volume(adc, read_volume(case.files[Role.T1]).affine), tmp_path / "ADC.nii")
    with_adc = Case("p1", case.files | {Role.ADC: tmp_path / "ADC.nii"}, case.units, case.labels)
    subject = describe_subject(with_adc, [SyntheticMap("synthetic", tiny_case / "synthetic.nii")], Choices())
    staging = Staging(tmp_path, subject, align(subject, None, Silent()))
    (adc_map,) = [
        each
        for each in staging.measurement([], Settings(), tmp_path / "out.json")["maps"]
        if each["name"] == "ADC"
    ]  # fmt: skip
    assert adc_map["units"] == "10⁻³ mm²/s"
    assert read_volume(adc_map["path"]).array.max() == pytest.approx(0.8)
    assert "10⁻⁶" in staging.warnings[0]


def test_a_moved_map_is_searched_for_hotspots_in_its_place(simulated, tmp_path):
    placements = align(simulated, None, Silent())
    staging = Staging(tmp_path, simulated, placements)
    parameters = staging.suggestion(["hotspots"], 4, 6.0)
    acquired, true = read_volume(parameters["maps"]["acquired"]), read_volume(simulated.synthetic[0].path)
    assert acquired.same_grid(true)
    original = read_volume(simulated.acquired["acquired"])
    inside = true.array > 0.3
    found = np.corrcoef(acquired.array[inside], true.array[inside])[0, 1]
    assert found == pytest.approx(likeness(original, true, placed(placements, "acquired").transform), abs=1e-3)
    maps = {each["name"]: each for each in staging.measurement([], Settings(), tmp_path / "m.json")["maps"]}
    assert maps["acquired"]["path"] == str(simulated.acquired["acquired"])  # measured with one interpolation only
    assert len(maps["acquired"]["transform"]) == 4
    assert {each["kind"] for each in maps.values()} == {"synthetic", "acquired", "other"}
