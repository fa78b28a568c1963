"""Cases: case.json, telling file names, and the list of everything that is wrong."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from HierSynthLib.case import (
    ADC_UNITS,
    SEQUENCES,
    Case,
    Problem,
    Role,
    convert_adc,
    examine,
    find_problems,
    load_case,
    require_usable,
)
from HierSynthLib.errors import InputError, OutputError
from HierSynthLib.volume import Volume, read_volume, write_volume

SHAPE = (40, 48, 32)
AFFINE = np.diag([4.5, 4.5, 5.0 * 0.9, 1])
AFFINE[:3, 3] = (-90, -108, -70)
_I, _J, _K = np.indices(SHAPE)
HEAD = ((_I - 19.5) / 15) ** 2 + ((_J - 23.5) / 19) ** 2 + ((_K - 15.5) / 13) ** 2 < 1


def a_volume(level: float = 100.0, seed: int = 0, affine: np.ndarray = AFFINE, units: str = "") -> Volume:
    """A head-like ellipsoid in air."""
    noise = np.random.default_rng(seed).normal(1, 0.1, SHAPE)
    return Volume(np.where(HEAD, level * noise, 0).astype(np.float32), affine, units)


def volumes(**changes: Volume | None) -> dict[Role, Volume]:
    """A sound set of sequences, with some of them changed, added or (None) taken away."""
    sound = {role: a_volume(seed=number) for number, role in enumerate(SEQUENCES)}
    sound[Role.ADC] = a_volume(0.8, units=ADC_UNITS)
    for name, volume in changes.items():
        if volume is None:
            del sound[Role[name]]
        else:
            sound[Role[name]] = volume
    return sound


def moved(*offset_mm: float) -> np.ndarray:
    affine = AFFINE.copy()
    affine[:3, 3] += offset_mm
    return affine


def with_values(change: Callable[[np.ndarray], None]) -> Volume:
    array = a_volume().array.copy()
    change(array)
    return Volume(array, AFFINE)


def summary(problems: list[Problem]) -> list[tuple[str | None, str]]:
    return [(problem.role and problem.role.value, problem.severity) for problem in problems]


# --- what is wrong ---


def test_a_sound_case_has_no_problems() -> None:
    assert examine(volumes()) == []


def test_without_any_sequence_there_is_one_error() -> None:
    problems = examine({})
    assert summary(problems) == [(None, "error")]
    assert "no T1, T2, FLAIR or ADC" in problems[0].what


def test_a_missing_sequence_is_a_warning_and_a_missing_reference_an_error() -> None:
    assert summary(examine(volumes(ADC=None))) == [("ADC", "warning")]
    assert "fill in" in examine(volumes(ADC=None))[0].what
    assert summary(examine(volumes(T1=None))) == [("T1", "warning")]
    assert summary(examine(volumes(T1=None), reference=Role.T1)) == [("T1", "error")]
    assert summary(examine(volumes(T1=None), expected=[Role.T2])) == []


def set_nan(array: np.ndarray) -> None:
    array.ravel()[:3] = (np.nan, np.inf, -np.inf)


def sheared() -> np.ndarray:
    affine = AFFINE.copy()
    affine[0, 1] = 1.0
    return affine


def singular() -> np.ndarray:
    affine = AFFINE.copy()
    affine[:3, 2] = 0
    return affine


SINGLE_FAULTS: list[tuple[str, Role, Volume, str, str]] = [
    ("empty", Role.T2, Volume(np.zeros((0, 4, 4)), AFFINE), "error", "no voxels"),
    ("zeros", Role.T2, Volume(np.zeros(SHAPE), AFFINE), "error", "only zeros"),
    ("constant", Role.T2, Volume(np.full(SHAPE, 7), AFFINE), "error", "same value (7) everywhere"),
    ("nan", Role.T2, with_values(set_nan), "error", f"3 voxels ({100 * 3 / np.prod(SHAPE):.2g} %)"),
    ("2-D", Role.T2, Volume(a_volume().array[..., 0] + 1.0 * _I[..., 0], AFFINE), "error", "single slice"),
    ("one slice", Role.T2, Volume(a_volume().array[..., 15:16], moved(0, 0, 70)), "error", "single slice"),
    ("4-D", Role.T2, Volume(np.stack([a_volume().array] * 3, axis=3), AFFINE), "error", "series of 3 volumes"),
    ("sheared", Role.T2, Volume(a_volume().array, sheared()), "error", "sheared"),
    ("singular", Role.T2, Volume(a_volume().array, singular()), "error", "singular"),
    ("elsewhere", Role.T2, a_volume(affine=moved(500, 0, 0)), "error", "T2 and T1 do not overlap"),
    ("little overlap", Role.T2, a_volume(affine=moved(0, 0, 90)), "warning", "covers only"),
    ("thick", Role.T2, Volume(a_volume().array, AFFINE @ np.diag([1, 1, 1.2, 1])), "warning", "thick slices (5.4 mm)"),
    ("tiny", Role.T1, Volume(a_volume().array, np.diag([0.4, 0.4, 0.4, 1])), "warning", "unlike a head"),
    ("ADC impossible", Role.ADC, a_volume(40.0), "error", "median of 40"),
    ("3-D DSC", Role.DSC, a_volume(), "error", "not a series over time"),
    ("CBV not normalised", Role.CBV_ACQUIRED, a_volume(38.0), "warning", "its median is 38"),
    ("ROI elsewhere", Role.ROI, Volume(HEAD.astype(np.uint8), moved(500, 0, 0)), "error", "lies outside T1"),
    ("ROI in air", Role.ROI, Volume((~HEAD).astype(np.uint8), AFFINE), "warning", "outside the head"),
    ("ROI partly outside", Role.ROI, Volume(HEAD.astype(np.uint8), moved(0, 0, 35)), "warning", "lies outside T1"),
    ("ROI of fractions", Role.ROI, Volume(HEAD * 0.5, AFFINE), "error", "no labels"),
    ("ROI negative", Role.ROI, Volume(HEAD * -1, AFFINE), "error", "no labels"),
    ("ROI empty", Role.ROI, Volume(HEAD * 0, AFFINE), "warning", "ROI is empty"),
    ("ROI unnamed", Role.ROI, Volume(HEAD * 1 + (_I > 30) * HEAD * 4, AFFINE), "warning", "without a name: 5."),
    ("mask empty", Role.BRAIN, Volume(HEAD * 0, AFFINE), "error", "only zeros"),
]


@pytest.mark.parametrize(
    ("role", "volume", "severity", "words"),
    [fault[1:] for fault in SINGLE_FAULTS],
    ids=[fault[0] for fault in SINGLE_FAULTS],
)
def test_each_fault_is_one_problem(role: Role, volume: Volume, severity: str, words: str) -> None:
    problems = examine({**volumes(), role: volume}, labels={1: "tumour"})
    assert summary(problems) == [(role.value, severity)]
    assert words in problems[0].what
    assert problems[0].todo.endswith(".")


def test_roi_voxels_in_the_air_and_beyond_the_volume_count_together() -> None:
    labels = np.zeros(SHAPE, np.uint8)
    labels[19, 23, 10:20] = 1  # 3 voxels in the head, 3 in the air above it, 4 above the volume
    problems = examine(volumes(ROI=Volume(labels, moved(0, 0, 16 * AFFINE[2, 2]))))
    assert summary(problems) == [("ROI", "warning")]
    assert "(70 %) outside the head" in problems[0].what


def test_all_problems_are_listed_at_once() -> None:
    set_of_faults = volumes(T1=a_volume(), T2=with_values(set_nan), FLAIR=a_volume(affine=moved(900, 0, 0)), ADC=None)
    assert summary(examine(set_of_faults)) == [("ADC", "warning"), ("T2", "error"), ("FLAIR", "error")]


def test_sound_extras_are_no_problem() -> None:
    extras = {
        Role.DSC: Volume(np.stack([a_volume(seed=n).array for n in range(3)], axis=3), AFFINE),
        Role.CBV_ACQUIRED: a_volume(1.6),
        Role.ROI: Volume((HEAD & (_I > 25)).astype(np.int16) * 3, AFFINE),
        Role.BRAIN: Volume(HEAD, AFFINE),
    }
    assert examine({**volumes(), **extras}, labels={3: "oedema"}) == []


def test_a_bad_reference_does_not_hide_other_problems() -> None:
    problems = examine(volumes(T1=Volume(np.zeros(SHAPE), AFFINE), T2=with_values(set_nan)))
    assert summary(problems) == [("T1", "error"), ("T2", "error")]


@settings(max_examples=25, deadline=None)
@given(st.floats(-1, 1), st.floats(-1, 1), st.floats(-180, 180))
def test_the_overlap_does_not_depend_on_how_the_grid_lies(pitch: float, roll: float, shift: float) -> None:
    """A block around the head is turned in place and moved along z: the covered share follows from the geometry."""
    turn = np.eye(4)
    cosine, sine = np.cos(pitch), np.sin(pitch)
    turn[:2, :2] = [[cosine, -sine], [sine, cosine]]
    block = Volume(np.arange(8.0).reshape(2, 2, 2), turn @ np.diag([400, 400, 120 + 50 * abs(roll), 1]))
    half = block.spacing[2]  # two voxels: the block reaches one voxel length from its centre to either side
    affine = block.affine.copy()
    centre = AFFINE[:3, :3] @ (np.array(SHAPE) - 1) / 2 + AFFINE[:3, 3] + [0, 0, shift]
    affine[:3, 3] = centre - affine[:3, :3] @ [0.5, 0.5, 0.5]
    z = AFFINE[2, 2] * _K[HEAD] + AFFINE[2, 3]
    covered = np.mean(np.abs(z - centre[2]) <= half)
    found = [problem for problem in examine(volumes(T2=Volume(block.array, affine))) if "overs only" in problem.what]
    if covered > 0.55:
        assert not found
    elif 0.02 < covered < 0.45:
        said = float(found[0].what.split("only ")[1].split(" %")[0]) / 100
        assert abs(said - covered) < 0.05


# --- ADC ---


@pytest.mark.parametrize(("scale", "units"), [(1e3, "10⁻⁶ mm²/s"), (1e-3, "mm²/s")])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_adc_in_other_units_is_converted_with_a_warning(scale: float, units: str, dtype: type) -> None:
    original = a_volume(0.8)
    given_map = Volume((original.array * scale).astype(dtype), AFFINE)
    converted, problems = convert_adc(given_map)
    np.testing.assert_allclose(converted.array, original.array, rtol=1e-5)
    assert converted.units == ADC_UNITS
    assert summary(problems) == [("ADC", "warning")]
    assert units in problems[0].what
    assert summary(examine(volumes(ADC=given_map))) == [("ADC", "warning")]
    assert examine(volumes(ADC=converted)) == []


@pytest.mark.parametrize("units", ["10⁻⁶ mm²/s", "1e-6 mm2/s", "10^-6 mm^2/s", "10-6 mm²/s"])
def test_stated_units_need_no_warning(units: str) -> None:
    converted, problems = convert_adc(Volume(a_volume(800).array.astype(np.int16), AFFINE, units))
    assert problems == []
    assert np.median(converted.array[HEAD]) == pytest.approx(0.8, rel=0.02)


def test_adc_in_library_units_stays_as_it_is() -> None:
    original = a_volume(0.8)
    converted, problems = convert_adc(original)
    assert converted.array is original.array
    assert (converted.units, problems) == (ADC_UNITS, [])


def test_adc_that_is_no_diffusion_coefficient_is_left_alone() -> None:
    original = a_volume(40)
    converted, problems = convert_adc(original)
    assert converted is original
    assert summary(problems) == [("ADC", "error")]


# --- loading ---


@pytest.fixture
def a_case(tmp_path: Path) -> Case:
    files = {}
    for role, volume in volumes().items():
        files[role] = tmp_path / f"{role}.nii.gz"
        write_volume(volume, files[role])
    case = Case("case-1", files, labels={1: "enhancing"})
    case.write(tmp_path)
    return case


def test_a_sound_case_is_loaded_without_problems(a_case: Case) -> None:
    loaded, problems = load_case(a_case)
    assert problems == []
    assert list(loaded) == list(SEQUENCES)
    for role, volume in volumes().items():
        assert np.array_equal(loaded[role].array, volume.array)


def test_every_fault_of_the_files_is_listed_and_nothing_raised(a_case: Case, tmp_path: Path) -> None:
    a_case.files[Role.T1].unlink()
    a_case.files[Role.T2].write_text("no image")
    write_volume(a_volume(800), a_case.files[Role.ADC], overwrite=True)
    a_case.files[Role.ROI] = tmp_path / "ROI.nii.gz"
    write_volume(Volume(HEAD.astype(np.uint8) * 2, AFFINE), a_case.files[Role.ROI])
    loaded, problems = load_case(a_case)
    assert summary(problems) == [("T1", "error"), ("T2", "error"), ("ADC", "warning"), ("ROI", "warning")]
    assert "T1.nii.gz does not exist" in problems[0].what
    assert "T2.nii.gz is not a NIfTI file" in problems[1].what
    assert set(loaded) == {Role.FLAIR, Role.ADC, Role.ROI}
    assert np.median(loaded[Role.ADC].array[HEAD]) == pytest.approx(0.8, rel=0.02)
    assert find_problems(a_case) == problems


def test_units_of_the_case_are_used(a_case: Case) -> None:
    write_volume(a_volume(800), a_case.files[Role.ADC], overwrite=True)
    a_case.units[Role.ADC] = "10⁻⁶ mm²/s"
    loaded, problems = load_case(a_case)
    assert problems == []
    assert loaded[Role.ADC].units == ADC_UNITS


def test_only_the_wanted_roles_are_read(a_case: Case) -> None:
    a_case.files[Role.T2].unlink()
    a_case.files[Role.FLAIR].unlink()
    loaded, problems = load_case(a_case, [Role.T1, Role.ADC])
    assert (list(loaded), problems) == ([Role.T1, Role.ADC], [])


def test_errors_become_one_line_that_lists_them_all() -> None:
    problems = examine(volumes(T1=Volume(np.zeros(SHAPE), AFFINE), T2=with_values(set_nan), ADC=None))
    with pytest.raises(InputError) as caught:
        require_usable(problems)
    assert "T1 holds only zeros." in caught.value.message
    assert "T2 has 3 voxels" in caught.value.message
    assert "ADC" not in caught.value.message
    assert "\n" not in str(caught.value)
    require_usable(examine(volumes(ADC=None)))


# --- case.json ---


names = st.text(st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="/\\"), min_size=1, max_size=64)
json_values = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists)


@settings(max_examples=30, deadline=None)
@given(
    names,
    st.dictionaries(st.sampled_from(list(Role)), st.sampled_from(["T1.nii.gz", "dicom/T1", "ä b.nrrd"])),
    st.dictionaries(st.integers(0, 255), st.text()),
    st.booleans(),
    st.dictionaries(st.text(), json_values),
)
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory,
    name: str,
    files: dict[Role, str],
    labels: dict[int, str],
    simulated: bool,
    facts: dict[str, Any],
) -> None:
    folder = tmp_path_factory.mktemp("case")
    units = dict.fromkeys(files, "nrCBV")
    case = Case(name, {role: folder / file for role, file in files.items()}, units, labels, simulated, facts)
    case.write(folder)
    assert Case.read(folder) == case
    assert Case.read(folder / "case.json") == case


def test_files_inside_are_relative_and_others_absolute(tmp_path: Path) -> None:
    inside, outside = tmp_path / "case" / "T1.nii.gz", tmp_path / "elsewhere" / "T2.nii.gz"
    Case("a", {Role.T1: inside, Role.T2: outside}).write(tmp_path / "case")
    roles = json.loads((tmp_path / "case" / "case.json").read_text())["roles"]
    assert (roles["T1"]["file"], roles["T2"]["file"]) == ("T1.nii.gz", str(outside))
    (tmp_path / "case").rename(tmp_path / "moved")
    assert Case.read(tmp_path / "moved").files == {Role.T1: tmp_path / "moved" / "T1.nii.gz", Role.T2: outside}


def test_case_json_is_not_replaced_unasked(tmp_path: Path) -> None:
    Case("a", {}).write(tmp_path)
    with pytest.raises(OutputError, match="exists already"):
        Case("b", {}).write(tmp_path)
    Case("b", {}).write(tmp_path, overwrite=True)
    assert Case.read(tmp_path).id == "b"


@pytest.mark.parametrize("identifier", ["", "a/b", "a\\b", "a\nb", "x" * 65])
def test_identifiers_that_could_be_paths_are_refused(tmp_path: Path, identifier: str) -> None:
    with pytest.raises(ValueError, match="identifier"):
        Case(identifier, {}).write(tmp_path)


VALID = {"version": 1, "id": "a", "simulated": False, "roles": {"T1": {"file": "T1.nii.gz"}}}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "not valid JSON"),
        ("[]", "an object"),
        (VALID | {"version": 2}, '"version" is 2, newer'),
        (VALID | {"version": 0}, '"version" should be 1'),
        (VALID | {"version": "1"}, '"version" should be a whole number'),
        (VALID | {"version": True}, '"version" should be a whole number'),
        (VALID | {"id": 7}, '"id" should be a text'),
        (VALID | {"id": "../a"}, '"id" should have'),
        (VALID | {"simulated": "yes"}, '"simulated" should be true or false'),
        (VALID | {"roles": []}, '"roles" should be an object'),
        (VALID | {"roles": {"T3": {"file": "a"}}}, 'unknown role "T3"'),
        (VALID | {"roles": {"T1": "T1.nii.gz"}}, '"T1" should be an object with "file"'),
        (VALID | {"roles": {"T1": {"file": 1}}}, '"T1" should be an object with "file"'),
        (VALID | {"roles": {"T1": {"file": "a", "units": 1}}}, '"T1" should have only'),
        (VALID | {"roles": {"T1": {"file": "a", "unit": ""}}}, '"T1" should have only'),
        (VALID | {"labels": {"one": "a"}}, '"labels" → "one"'),
        (VALID | {"labels": {"1": 1}}, '"labels" → "1"'),
        (VALID | {"facts": 1}, '"facts" should be an object'),
        (VALID | {"lables": {}}, 'field "lables" is unknown'),
        *(({key: VALID[key] for key in VALID if key != gone}, f'"{gone}" is missing') for gone in VALID),
    ],
)
def test_a_bad_case_json_names_its_field_in_one_line(tmp_path: Path, content: object, words: str) -> None:
    text = content if isinstance(content, str) else json.dumps(content)
    (tmp_path / "case.json").write_text(text)
    with pytest.raises(InputError) as caught:
        Case.read(tmp_path)
    assert words in caught.value.message
    assert str(tmp_path / "case.json") in caught.value.message
    assert "\n" not in str(caught.value)
    assert caught.value.hint


def test_a_missing_case_json_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"case\.json does not exist"):
        Case.read(tmp_path)
    with pytest.raises(InputError, match="nowhere does not exist"):
        Case.open(tmp_path / "nowhere")


# --- folders without case.json ---


def touch(folder: Path, *file_names: str) -> None:
    for name in file_names:
        (folder / name).touch()


@pytest.mark.parametrize(
    ("files", "roles"),
    [
        (["T1.nii.gz", "T2.nii", "FLAIR.nrrd", "ADC.mha"], "T1 T2 FLAIR ADC"),
        (["t1.nii.gz", "fla.nii.gz", "t1c.nii.gz", "t2.nii.gz"], "T1 FLAIR T1CE T2"),
        (["BraTS-MET-1-000-t1n.nii.gz", "BraTS-MET-1-000-t1c.nii.gz", "BraTS-MET-1-000-t2w.nii.gz"], "T1 T1CE T2"),
        (["X_t2f.nii.gz", "X_seg.nii.gz", "X_t1ce.nii.gz"], "FLAIR ROI T1CE"),
        (["UCSF_T1.nii.gz", "UCSF_T1_bias.nii.gz", "UCSF_ADC.nii.gz", "UCSF_ASL.nii.gz"], "T1 ADC ASL"),
        (["sub-1_T1w.nii.gz", "sub-1_ce-gadolinium_T1w.nii.gz", "sub-1_FLAIR.nii.gz"], "T1 T1CE FLAIR"),
        (["T2_FLAIR.nii.gz", "T1_post.nii.gz", "DSC.nii.gz"], "FLAIR T1CE DSC"),
        (["CBV_acquired.nii.gz", "CBV_true.nii.gz", "brain_mask.nii.gz"], "CBV_acquired CBV_true brain_mask"),
        (["T1.nii.gz", "T1.txt", ".T2.nii.gz", "notes.json", "CBV_synthetic.nii.gz", "part1.nii.gz"], "T1"),
    ],
)
def test_telling_names_are_understood(tmp_path: Path, files: list[str], roles: str) -> None:
    touch(tmp_path, *files)
    case = Case.discover(tmp_path)
    expected = dict(zip(roles.split(), [f for f in files if _counts(f)], strict=True))
    assert {str(role): path.name for role, path in case.files.items()} == expected
    assert Case.open(tmp_path) == case


def _counts(name: str) -> bool:
    ignored = ("_bias.nii.gz", ".txt", ".json", "CBV_synthetic.nii.gz", "part1.nii.gz")
    return not (name.endswith(ignored) or name.startswith("."))


def test_folders_count_as_dicom_series(tmp_path: Path) -> None:
    (tmp_path / "T1").mkdir()
    assert Case.discover(tmp_path).files == {Role.T1: tmp_path / "T1"}


def test_several_candidates_are_listed(tmp_path: Path) -> None:
    touch(tmp_path, "a_t1.nii.gz", "b_T1.nii.gz", "c_t2.nii.gz")
    with pytest.raises(InputError, match=r"several files for T1: a_t1\.nii\.gz, b_T1\.nii\.gz"):
        Case.discover(tmp_path)


def test_a_folder_without_volumes_is_no_case(tmp_path: Path) -> None:
    touch(tmp_path, "notes.txt")
    with pytest.raises(InputError, match="no volume named like"):
        Case.open(tmp_path)
    with pytest.raises(InputError, match="not a folder"):
        Case.discover(tmp_path / "notes.txt")


def test_case_json_goes_before_names(tmp_path: Path) -> None:
    touch(tmp_path, "T1.nii.gz", "T2.nii.gz")
    Case("written", {Role.T1: tmp_path / "T2.nii.gz"}).write(tmp_path)
    assert Case.open(tmp_path).id == "written"


# --- the light half ---


def test_cases_and_volumes_load_nothing_but_numpy(tmp_path: Path) -> None:
    write_volume(a_volume(), tmp_path / "T1.nii.gz")
    program = (
        "import sys; from pathlib import Path; from HierSynthLib.case import Case, find_problems\n"
        f"print(len(find_problems(Case('a', dict(T1=Path({str(tmp_path / 'T1.nii.gz')!r}))))))\n"
        "print(*[name for name in ('SimpleITK', 'scipy', 'torch', 'pydicom', 'nibabel') if name in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.split() == ["3"]
    assert read_volume(tmp_path / "T1.nii.gz").grid == SHAPE
