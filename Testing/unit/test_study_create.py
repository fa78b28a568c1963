"""Making a study: what is written, that nothing in it tells the arm, and what is refused."""

import gzip
import hashlib
import json
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from HierSynthLib.errors import Cancelled, HierSynthError, InputError, OutputError
from HierSynthLib.progress import Silent
from HierSynthLib.reader_study import create
from HierSynthLib.reader_study.create import create_study, read_cases, read_definition, read_truth, write_key
from HierSynthLib.reader_study.form import Form
from HierSynthLib.reader_study.images import Placed, equalise
from HierSynthLib.reader_study.key import Key
from HierSynthLib.reader_study.protocol import DisplaySettings, Protocol
from HierSynthLib.reader_study.study import Study
from HierSynthLib.volume import Volume
from Testing.reader_studies import FORM, Time, make_study, plan, read_session, write_case

CASES = 12
DIAGNOSIS = {
    "id": "grade", "kind": "choice", "text": "Grade?", "options": ["low", "high"], "purpose": "diagnosis",
    "truth": "grade", "positive": "high",
}  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("origin-of-the-cases")
    return make_study(folder, CASES, modes=["single", "side_by_side"], duplicates=0.25, training_cases=["patient-003"])


@pytest.fixture(scope="module")
def key(made):
    return Key.read(made.folder.parent / "key.json")


def maps(made, key):
    """Case → arm → files of the maps, the duplicates last."""
    found = {}
    for image, arm in key.arms.items():
        found.setdefault(key.cases[image], {}).setdefault(arm, []).append(made.image_file(image))
    return found


def test_the_key_leads_back_from_everything_that_is_shown(made, key):
    assert key.study_sha256 == made.sha256 == hashlib.sha256((made.folder / "study.json").read_bytes()).hexdigest()
    assert (
        Protocol.parse(plan(modes=["single", "side_by_side"], duplicates=0.25, training_cases=["patient-003"]))
        == key.protocol
    )
    for reader in made.readers:
        for slot in made.slots(reader):
            shown = slot.presentation
            assert len({key.cases[image] for image in (*shown.images, *shown.sources.values())}) == 1
            arms = {key.arms[image] for image in shown.images}
            assert len(arms) == len(shown.images)
            assert slot.training == (key.cases[shown.images[0]] == "patient-003")
    assert key.truth["patient-001"] == {"grade": "high"}
    assert key.truth["patient-002"] == {"grade": "low"}
    everything = {path.stem for path in (made.folder / "images").iterdir()}
    assert everything == {i for p in made.presentations.values() for i in (*p.images, *p.sources.values())}


def test_duplicates_repeat_case_and_arm_under_another_name(made, key):
    assert len(key.duplicates) == 2 * 3 + 3 * 2  # a quarter of 11, rounded, per arm; in pairs either side may be left
    for again, first in key.duplicates.items():
        one, other = made.presentations[first], made.presentations[again]
        assert not set(one.images) & set(other.images)
        assert [key.arms[image] for image in one.images] == [key.arms[image] for image in other.images[::-1]]
        assert {key.cases[image] for image in (*one.images, *other.images)} == {key.cases[one.images[0]]}
        paths = [made.image_file(image) for image in (one.images[0], other.images[-1])]
        assert paths[0].read_bytes() == paths[1].read_bytes()


def test_the_key_is_outside_and_its_owners_only(made):
    path = made.folder.parent / "key.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not any("key" in each.name for each in made.folder.rglob("*"))


def test_no_file_of_the_study_names_an_arm_a_case_a_path_or_the_seed(made):
    words = [
        b"gadolinium",
        b"zebrafish",
        b"CBV_acquired",
        b"map.nii",
        b"patient-0",
        b"origin-of",
        b'"seed"',
        b'"reference"',
    ]
    words += [each.folder.name.encode() for each in read_cases([made.folder.parent / "cases" / "patient-001"])]
    read_session(made.folder, "R1", Time(), most=2)
    for path in made.folder.rglob("*"):
        assert not any(word in path.name.encode() for word in words)
        if path.is_file():
            content = path.read_bytes()
            assert not any(word in content for word in words), path


def test_files_of_the_arms_differ_in_nothing_but_voxels(made, key):
    for case in maps(made, key).values():
        paths = [path for paths in case.values() for path in paths]
        assert len({path.stat().st_size for path in paths}) == 1
        assert len({path.stat().st_mtime_ns for path in paths}) == 1
        assert len({path.stat().st_mode for path in paths}) == 1
        assert len({path.read_bytes()[:352] for path in paths}) == 1
        images = [nibabel.load(path) for path in paths]
        assert {image.get_data_dtype() for image in images} == {np.dtype("float32")}
        assert {image.header["descrip"].item() for image in images} == {b""}
        zeros = [image.get_fdata() == 0 for image in images]
        assert all(np.array_equal(zeros[0], each) for each in zeros)
        assert 0 < zeros[0].mean() < 1
        for image in images:
            inside = image.get_fdata()[~zeros[0]]
            assert inside.min() >= 0.001 - 1e-9
            assert inside.max() <= 10
            assert np.abs(inside * 1000 - np.rint(inside * 1000)).max() < 1e-2


def attributes(path):
    """What can be seen of a file without looking at its picture."""
    content, status = path.read_bytes(), path.stat()
    values = np.frombuffer(content[352:], "<f4")
    return {
        "name": int(path.stem, 16),
        "inode": status.st_ino,
        "size": status.st_size,
        "time": status.st_mtime,
        "header": hash(content[:352]),
        "minimum": values.min(),
        "zeros": (values == 0).mean(),
        "negative": (values < 0).sum(),
        "not finite": (~np.isfinite(values)).sum(),
    }


def test_trivial_attributes_do_not_separate_the_arms(made, key):
    first = {arm: [case[arm][0] for case in maps(made, key).values()] for arm in ("gadolinium", "zebrafish")}
    seen = {arm: [attributes(path) for path in paths] for arm, paths in first.items()}
    for name in seen["gadolinium"][0]:
        one, other = ([each[name] for each in seen[arm]] for arm in seen)
        assert mannwhitneyu(one, other).pvalue > 0.05, name
    # That this would be noticed: compressed, the size of a file tells its arm nearly always.
    sizes = {arm: [len(gzip.compress(path.read_bytes())) for path in paths] for arm, paths in first.items()}
    assert mannwhitneyu(*sizes.values()).pvalue < 0.001


def test_reading_opens_no_key_and_imports_nothing_that_knows_it(made):
    program = """
import json, sys
opened = []
sys.addaudithook(lambda name, arguments: name in ("open", "sqlite3.connect") and opened.append(str(arguments[0])))
from pathlib import Path
from HierSynthLib.reader_study.record.session import sign_in
with sign_in(Path(sys.argv[1]), "R2") as session:
    session.show()
    print(repr(session.slot), session.items, session.answers(), session.upcoming)
modules = [name for name in sys.modules if name.startswith("HierSynthLib.reader_study")]
print(json.dumps([opened, modules]))
"""
    done = subprocess.run(
        [sys.executable, "-c", program, made.folder],
        stdout=subprocess.PIPE,
        check=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    shown, last = done.stdout.strip().rsplit("\n", 1)
    opened, modules = json.loads(last)
    assert any("record.sqlite" in each for each in opened)
    assert any("study.json" in each for each in opened)
    assert not any("key.json" in each or "/cases/" in each for each in opened)
    assert not {"key", "create", "blinding", "schedule", "images"} & {name.rpartition(".")[2] for name in modules}
    assert not any(word in shown for word in ("gadolinium", "zebrafish", "patient-0", "map.nii"))


def test_messages_of_a_reading_session_tell_no_arm(made, tmp_path):
    messages = []
    for reader, change in (("R1", "images"), ("R9", None), ("R1", "study.json")):
        folder = tmp_path / f"{len(messages)}"
        shutil.copytree(made.folder, folder)
        if change == "images":
            shutil.rmtree(folder / "images")
        elif change:
            (folder / change).write_bytes((folder / change).read_bytes().replace(b"Small", b"Large"))
        with pytest.raises(InputError) as caught:
            read_session(folder, reader, Time())
        messages.append(str(caught.value))
    assert len(set(messages)) == 3
    assert not any(word in text for word in ("gadolinium", "zebrafish", "patient-0", "map.nii") for text in messages)


def test_the_same_seed_gives_the_same_study_and_another_seed_other_names(tmp_path):
    studies = [make_study(tmp_path / name, 2, seed=seed) for name, seed in (("a", 5), ("b", 5), ("c", 6))]
    first, second, third = ({path.name: path.read_bytes() for path in study.folder.rglob("*.nii")} for study in studies)
    assert first == second
    assert not first.keys() & third.keys()
    assert studies[0].sha256 == studies[1].sha256


def test_without_a_seed_one_is_drawn_and_kept_in_the_key(tmp_path):
    protocol = plan()
    del protocol["seed"]
    cases = read_cases([write_case(tmp_path / "cases", 1)])
    seeds = []
    for name in ("a", "b"):
        create_study(
            Protocol.parse(protocol), Form.parse(FORM), cases, tmp_path / name, tmp_path / f"{name}.json", Silent()
        )
        seeds.append(Key.read(tmp_path / f"{name}.json").protocol.seed)
    assert seeds[0] != seeds[1]
    assert min(seeds) >= 0


def test_an_unblinded_study_shows_the_arms_and_only_then(tmp_path):
    study = make_study(tmp_path, 2, modes=["unblinded"], readers=["R1"], form={**FORM, "items": [FORM["items"][-1]]})
    key = Key.read(tmp_path / "key.json")
    for presentation in study.presentations.values():
        assert presentation.labels == tuple(key.arms[image] for image in presentation.images)


def rotation(degrees):
    angle = np.deg2rad(degrees)
    matrix = np.eye(4)
    matrix[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    matrix[:3, 3] = [2.0, -3.0, 1.0]
    return matrix


def ramp(shape, affine, moved=None):
    """A volume whose value at a point of the common space is a linear function of it."""
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1)
    points = index @ affine[:3, :3].T + affine[:3, 3]
    back = np.linalg.inv(np.eye(4) if moved is None else moved)
    points = points @ back[:3, :3].T + back[:3, 3]
    return Placed(Volume(3.0 + points @ [0.02, 0.03, -0.01], affine), np.eye(4) if moved is None else moved)


def test_moved_and_finer_maps_arrive_where_they_belong():
    coarse, fine = np.diag([3.0, -3.0, 5.0, 1.0]), np.diag([1.0, 1.0, 2.0, 1.0])
    coarse[:3, 3], fine[:3, 3] = [-30.0, 30.0, -20.0], [-40.0, -40.0, -30.0]
    moved = rotation(10.0)
    placed = {"a": ramp((20, 20, 9), coarse), "b": ramp((80, 80, 30), fine), "c": ramp((90, 90, 40), fine, moved)}
    arrays, affine = equalise(placed, DisplaySettings())
    assert np.allclose(np.abs(affine[:3, :3]), np.diag([3.0, 3.0, 5.0]))
    inside = arrays["a"] > 0
    assert inside.mean() > 0.5
    index = np.stack(np.meshgrid(*map(np.arange, inside.shape), indexing="ij"), -1)
    expected = 3.0 + (index @ affine[:3, :3].T + affine[:3, 3]) @ [0.02, 0.03, -0.01]
    for name, array in arrays.items():
        assert np.array_equal(array > 0, inside), name
        assert np.abs(array - expected)[inside].max() < 2e-3, name


def test_the_coarsest_map_is_clipped_and_rounded_but_not_interpolated():
    values = np.random.default_rng(0).gamma(2.0, 4.0, (6, 5, 4))
    values[0, 0, 0] = np.nan
    big = Placed(Volume(values, np.diag([4.0, 4.0, 4.0, 1.0])), np.eye(4))
    whole = np.diag([2.0, 2.0, 2.0, 1.0])
    whole[:3, 3] = -4.0
    small = Placed(Volume(np.ones((16, 14, 12), np.int16), whole), np.eye(4))
    arrays, _ = equalise({"big": big, "small": small}, DisplaySettings(ceiling=8.0, step=0.01, window=(0.0, 6.0)))
    inside = arrays["big"] > 0
    assert not inside[0, 0, 0]
    assert inside.sum() > 100
    assert np.allclose(arrays["big"][inside], np.clip(np.rint(values[inside] * 100), 1, 800) / 100)
    assert np.allclose(arrays["small"][inside], 1.0)


def test_maps_without_a_place_in_common_are_told():
    far = np.eye(4)
    far[:3, 3] = 500.0
    placed = {
        "a": Placed(Volume(np.ones((4, 4, 4)), np.eye(4)), np.eye(4)),
        "b": Placed(Volume(np.ones((4, 4, 4)), far), np.eye(4)),
    }
    with pytest.raises(InputError, match="no voxel in common"):
        equalise(placed, DisplaySettings())


REFUSED = {
    "an arm is missing": (lambda f: (f / "cases/patient-002/made/map.nii.gz").unlink(), {}, "arm zebrafish"),
    "a volume is damaged": (lambda f: (f / "cases/patient-002/T1.nii.gz").write_bytes(b"x"), {}, "T1"),
    "unknown training case": (lambda f: None, {"training_cases": ["nobody"]}, "nobody"),
    "nothing asked": (lambda f: None, {"modes": ["turing"]}, "turing"),
    "unknown source": (lambda f: None, {"modes": [{"kind": "single", "sources": ["T9"]}]}, "T9"),
    "a source that tells": (
        lambda f: None, {"modes": [{"kind": "single", "sources": ["CBV_acquired"]}]}, "tells the arm"
    ),
    "only training": (lambda f: None, {"training_cases": ["patient-001", "patient-002"]}, "not for training"),
    "the key exists": (lambda f: (f / "key.json").write_text("mine"), {}, "key.json exists already"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_leaves_nothing_behind(tmp_path, name):
    prepare, changes, words = REFUSED[name]
    folders = [write_case(tmp_path / "cases", number) for number in (1, 2)]
    prepare(tmp_path)
    before = sorted(tmp_path.iterdir())
    form = Form.parse({**FORM, "items": FORM["items"][:2]})
    with pytest.raises(HierSynthError, match=words) as caught:
        create_study(
            Protocol.parse(plan(**changes)),
            form,
            read_cases(folders),
            tmp_path / "study",
            tmp_path / "key.json",
            Silent(),
        )
    assert caught.value.hint
    assert sorted(tmp_path.iterdir()) == before


class Impatient(Silent):
    """Asks to stop at the end."""

    def progress(self, stage, fraction):
        if fraction == 1.0:
            raise Cancelled


def test_cancelling_leaves_nothing_behind(tmp_path):
    cases = read_cases([write_case(tmp_path / "cases", 1)])
    arguments = Protocol.parse(plan()), Form.parse(FORM), cases, tmp_path / "study", tmp_path / "key.json"
    with pytest.raises(Cancelled):
        create_study(*arguments, Impatient())
    assert [path.name for path in tmp_path.iterdir()] == ["cases"]


def test_a_folder_that_was_taken_meanwhile_leaves_no_key_behind(tmp_path, monkeypatch):
    cases = read_cases([write_case(tmp_path / "cases", 1)])

    def write_slowly(*arguments):
        write_key(*arguments)
        (tmp_path / "study").mkdir()
        (tmp_path / "study" / "another program's").touch()

    monkeypatch.setattr(create, "write_key", write_slowly)
    with pytest.raises(OutputError, match="not empty any more"):
        create_study(
            Protocol.parse(plan()), Form.parse(FORM), cases, tmp_path / "study", tmp_path / "key.json", Silent()
        )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cases", "study"]


def test_the_key_may_not_lie_in_the_readers_folder(tmp_path):
    cases = read_cases([write_case(tmp_path / "cases", 1)])
    with pytest.raises(InputError, match="readers get"):
        create_study(
            Protocol.parse(plan()), Form.parse(FORM), cases, tmp_path / "s", tmp_path / "s" / "key.json", Silent()
        )
    with pytest.raises(OutputError, match="not empty"):
        create_study(
            Protocol.parse(plan()), Form.parse(FORM), cases, tmp_path / "cases", tmp_path / "key.json", Silent()
        )
    assert not (tmp_path / "key.json").exists()


def test_a_diagnosis_needs_its_truth(tmp_path):
    cases = read_cases([write_case(tmp_path / "cases", number) for number in (1, 2)])
    form = Form.parse({**FORM, "items": [*FORM["items"], {**DIAGNOSIS, "truth": "idh"}]})
    arguments = Protocol.parse(plan()), form, cases, tmp_path / "study", tmp_path / "key.json", Silent()
    with pytest.raises(InputError, match='"idh" is not known for the case patient-001'):
        create_study(*arguments)
    table = tmp_path / "truth.csv"
    table.write_text("case,idh,grade\npatient-001,mutant,low\npatient-002,wild,high\n")
    create_study(*arguments, truth=read_truth(table))
    truth = Key.read(tmp_path / "key.json").truth
    assert truth == {"patient-001": {"grade": "low", "idh": "mutant"}, "patient-002": {"grade": "high", "idh": "wild"}}
    with pytest.raises(InputError, match='"idh" is not known for the case patient-002'):
        create_study(*arguments[:3], tmp_path / "s1", tmp_path / "k1", Silent(), truth={"patient-001": {"idh": "wild"}})
    practice = Protocol.parse(plan(training_cases=["patient-002"]))
    create_study(
        practice, *arguments[1:3], tmp_path / "s1", tmp_path / "k1", Silent(), truth={"patient-001": {"idh": "wild"}}
    )
    with pytest.raises(InputError, match="stranger"):
        create_study(*arguments[:3], tmp_path / "s2", tmp_path / "k2", Silent(), truth={"stranger": {}})


def test_definitions_that_cannot_be_read_are_told(tmp_path):
    for name, text, words in (
        ("a.yaml", "a: [1", "no YAML"),
        ("a.json", "{", "no JSON"),
        ("b.yaml", None, "cannot be read"),
    ):
        if text is not None:
            (tmp_path / name).write_text(text)
        with pytest.raises(InputError, match=words):
            read_definition(tmp_path / name)
    (tmp_path / "evil.yaml").write_text("!!python/object/apply:os.system [echo]")
    with pytest.raises(InputError, match="no YAML"):
        read_definition(tmp_path / "evil.yaml")


def test_a_study_that_was_tampered_with_is_refused_field_by_field(made, tmp_path):
    content = json.loads((made.folder / "study.json").read_text("utf-8"))
    reader = made.readers[0]
    broken = (
        ({"version": 2}, "version"),
        ({"extra": 1}, "extra"),
        ({"schedules": {reader: []}}, "schedules"),
        ({"schedules": {name: [[1, "nothing", False]] for name in made.readers}}, "position 1"),
        ({"presentations": {"p": {"mode": "single", "images": ["a", "b"]}}}, "images"),
    )
    for change, words in broken:
        (tmp_path / "study.json").write_text(json.dumps({**content, **change}), "utf-8")
        with pytest.raises(InputError, match=words):
            Study.read(tmp_path)
