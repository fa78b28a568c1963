"""Making a study: what is written, that nothing in it tells the arm, and what is refused."""

import hashlib
import json
import shutil
import stat
from dataclasses import replace

import pytest

from HierSynthLib.errors import Cancelled, HierSynthError, InputError, OutputError
from HierSynthLib.progress import Silent
from HierSynthLib.reader_study import create
from HierSynthLib.reader_study.create import create_study, read_cases, read_definition, read_truth, write_key
from HierSynthLib.reader_study.form import Form
from HierSynthLib.reader_study.key import Key
from HierSynthLib.reader_study.protocol import Protocol
from HierSynthLib.reader_study.study import Study
from Testing.reader_studies import FORM, SEED, make_study, plan, write_case

CASES = 12
DIAGNOSIS = {
    "id": "grade", "kind": "choice", "text": "Grade?", "options": ["low", "high"], "purpose": "diagnosis",
    "truth": "grade", "positive": "high",
}  # fmt: skip
IDH = {"id": "idh", "truth": "idh", "options": ["wild", "mutant"], "positive": "mutant"}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("origin-of-the-cases")
    return make_study(folder, CASES, modes=["single", "side_by_side"], duplicates=0.25, training_cases=["patient-003"])


@pytest.fixture(scope="module")
def key(made):
    return Key.read(made.folder.parent / "key.json")


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


def test_the_key_is_outside_and_its_owners_only(made):
    path = made.folder.parent / "key.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not any("key" in each.name for each in made.folder.rglob("*"))


def test_the_same_seed_gives_the_same_study_and_another_seed_other_names(tmp_path):
    studies = [make_study(tmp_path / name, 2, seed=SEED + more) for name, more in (("a", 5), ("b", 5), ("c", 6))]
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
    assert min(seeds) >= 2**48


@pytest.mark.parametrize("seed", [0, 42, 20261121, 2**48 - 1])
def test_a_seed_that_could_be_found_by_trial_is_refused(tmp_path, seed):
    cases = read_cases([write_case(tmp_path / "cases", 1)])
    arguments = Protocol.parse(plan(seed=seed)), Form.parse(FORM), cases, tmp_path / "study", tmp_path / "key.json"
    with pytest.raises(InputError, match="found by trial"):
        create_study(*arguments, Silent())


def test_a_study_knows_its_simulated_cases_also_where_they_are_mixed_with_others(tmp_path):
    cases = read_cases([write_case(tmp_path / "cases", number) for number in (1, 2, 3)])
    cases[1] = replace(cases[1], case=replace(cases[1].case, simulated=True))
    for name, chosen in (("mixed", cases), ("real", cases[::2])):
        key_file = tmp_path / f"{name}.json"
        reporter = Silent()
        study = create_study(
            Protocol.parse(plan(duplicates=0.1)), Form.parse(FORM), chosen, tmp_path / name, key_file, reporter
        )
        assert study.simulated_cases == (name == "mixed")
        assert Key.read(key_file).simulated == (("patient-002",) if name == "mixed" else ())
        assert Key.read(key_file).repeated_cases == 0
        assert "none is shown a second time" in reporter.warnings[0]


@pytest.mark.parametrize(("shared", "words"), [(True, "fewer cases"), (False, 'Leave out "shared_images: false"')])
def test_a_disk_without_room_is_told_before_it_is_full(tmp_path, monkeypatch, shared, words):
    cases = read_cases([write_case(tmp_path / "cases", number) for number in (1, 2)])
    protocol = Protocol.parse(plan(shared_images=shared))
    arguments = protocol, Form.parse(FORM), cases, tmp_path / "study", tmp_path / "key.json", Silent()
    usage = shutil.disk_usage(tmp_path)
    # Two arms: 2 maps and 2 sources of 8 × 7 × 6 voxels (float32 and int16) for each case, and for each of two readers
    # where they share nothing.
    needed = 2 * (2 if shared else 4) * 8 * 7 * 6 * (4 + 2)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=needed - 1))
    with pytest.raises(OutputError, match="GB more") as caught:
        create_study(*arguments)
    assert words in caught.value.hint
    assert ("shared_images" in caught.value.hint) != shared
    assert [path.name for path in tmp_path.iterdir()] == ["cases"]
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=needed))
    create_study(*arguments)


def test_an_unblinded_study_shows_the_arms_and_only_then(tmp_path):
    study = make_study(tmp_path, 2, modes=["unblinded"], readers=["R1"], form={**FORM, "items": [FORM["items"][-1]]})
    key = Key.read(tmp_path / "key.json")
    for presentation in study.presentations.values():
        assert presentation.labels == tuple(key.arms[image] for image in presentation.images)


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
    form = Form.parse({**FORM, "items": [*FORM["items"], {**DIAGNOSIS, **IDH}]})
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


@pytest.mark.parametrize("value", ["High", "3", "HGG", "n/a", "hi gh"])
def test_a_truth_that_no_reader_can_answer_is_refused(tmp_path, value):
    """It would count as the absence of the condition."""
    cases = read_cases([write_case(tmp_path / "cases", number) for number in (1, 2)])
    form = Form.parse({**FORM, "items": [*FORM["items"], DIAGNOSIS]})
    arguments = Protocol.parse(plan()), form, cases, tmp_path / "study", tmp_path / "key.json", Silent()
    table = tmp_path / "truth.csv"
    table.write_text(f"case,grade\npatient-001,high\npatient-002,{value}\n")
    with pytest.raises(InputError, match=f"'{value}' for the case patient-002") as caught:
        create_study(*arguments, truth=read_truth(table))
    assert "low, high" in caught.value.hint
    # Of a case for training nothing is compared; and blanks around a value are no part of it.
    create_study(Protocol.parse(plan(training_cases=["patient-002"])), *arguments[1:], truth=read_truth(table))
    assert not (tmp_path / "other").exists()
    table.write_text("case,grade\n patient-001 , high\npatient-002,low \n")
    create_study(*arguments[:3], tmp_path / "s", tmp_path / "k.json", Silent(), truth=read_truth(table))
    assert Key.read(tmp_path / "k.json").truth == {"patient-001": {"grade": "high"}, "patient-002": {"grade": "low"}}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("case,grade\na,high\nb,low\na,low\n", "line 4: it has the case a a second time"),
        ("case,grade\na,high\n ,low\n", "line 3: it names no case"),
        ("grade\nhigh\n", 'no column "case"'),
    ],
)
def test_a_table_of_truths_that_contradicts_itself_is_refused(tmp_path, text, told):
    (tmp_path / "truth.csv").write_text(text)
    with pytest.raises(InputError, match=told):
        read_truth(tmp_path / "truth.csv")


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
