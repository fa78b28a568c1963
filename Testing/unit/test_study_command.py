"""`hiersynth study` from the cases to the closed study, as the documentation tells it."""

import json
import re
import shlex
import shutil
from contextlib import nullcontext
from pathlib import Path

import pytest
import yaml

from HierSynthLib.case import Case, Role
from HierSynthLib.cli import main
from HierSynthLib.commands import phantom, synthesize
from HierSynthLib.folders import resources_folder
from HierSynthLib.reader_study.key import Key
from HierSynthLib.reader_study.study import Study
from Testing.reader_studies import make_study, plan, some_answer, write_case


@pytest.fixture
def run(capsys):
    """Run the command; returns its exit code, stdout and stderr."""

    def call(*arguments):
        code = main(["study", *map(str, arguments)])
        told = capsys.readouterr()
        return code, told.out, told.err

    return call


def test_the_main_path(run, tmp_path):
    for number in (1, 2, 3):
        write_case(tmp_path / "cases", number)
    protocol = tmp_path / "protocol.yaml"
    modes = [
        {"kind": kind, "sources": ["T1"], "washout_days": 0} for kind in ("single", "side_by_side", "turing", "roi")
    ]
    protocol.write_text(yaml.safe_dump(plan(modes=modes, readers=["R1"], duplicates=0.3)))
    study = tmp_path / "study"
    code, out, _ = run("create", tmp_path / "cases", "--protocol", protocol, "--out", study, "--json")
    assert code == 0
    assert json.loads(out)["presentations"] == {"R1": 4 * 2 + 4 + 4 * 2 + 4 * 2}
    key = tmp_path / "study-key.json"
    assert Key.read(key).study == "small"
    form, slots = Study.read(study).form, Study.read(study).slots("R1")
    for slot in slots:
        code, out, _ = run("next", study, "--reader", "R1", "--json")
        place = json.loads(out)
        assert (code, place["position"], place["mode"]) == (0, slot.position, slot.presentation.mode)
        given = [f"{i['id']}={as_text(some_answer(form.item(i['id']), slot))}" for i in place["items"]]
        options = [word for each in given for word in ("--item", each)]
        code, out, err = run("answer", study, "--reader", "R1", *options, "--submit", "--json")
        assert code == 0, err
    assert json.loads(out)["finished"]
    receipt = json.loads(out)["receipt"]
    code, out, _ = run("status", study)
    assert "28 of 28" in out
    assert "complete" in out
    assert run("verify", study, "--receipt", receipt)[0] == 0
    assert run("close", study)[0] == 0
    code, _, err = run("next", study, "--reader", "R1")
    assert code == 1
    assert "closed" in err


DOCS = Path(__file__).parents[2] / "docs" / "reader-study.md"
LOOP = re.compile(r"for n in ([\d ]+); do (.+); done")


def commands_of_the_docs():
    """The words of each command in the first block of "A whole study in ten commands", loops written out."""
    block = DOCS.read_text("utf-8").split("## A whole study in ten commands")[1].split("```sh\n")[1].split("```")[0]
    for line in filter(None, block.replace("\\\n", " ").splitlines()):
        loop = LOOP.fullmatch(line)
        for command in [loop[2].replace("$n", n) for n in loop[1].split()] if loop else [line]:
            program, *words = shlex.split(command)
            assert program == ".venv/bin/hiersynth"
            yield words


def write_patient(_client, _kind, parameters, **_options):
    """In place of simulating a patient, which takes a minute."""
    name = f"phantom-{parameters['grade']}-{parameters['seed']}"
    assert parameters["dsc"]
    here = Path(parameters["out"])
    made = write_case(here.parent / name, parameters["seed"])
    (made / "case.json").unlink()
    made.rename(here)
    made.parent.rmdir()
    shutil.copy(here / "T1.nii.gz", here / "FLAIR.nii.gz")
    files = {role: here / f"{role}.nii.gz" for role in (Role.T1, Role.FLAIR, Role.CBV_ACQUIRED)}
    Case(name, files, simulated=True, facts={"grade": str(parameters["grade"])}).write(here)
    return {"id": name}, []


def write_maps(_client, _kind, _parameters, **options):
    """In place of the demo model, which takes as long."""
    out = Path(options["output"])
    out.mkdir()
    shutil.copy(out.parent / "made" / "map.nii.gz", out / "CBV_synthetic.nii.gz")
    (out / "run.json").write_text(json.dumps({"outputs": {"synthetic": "CBV_synthetic.nii.gz"}}))
    return {"maps": {}, "run": ""}, []


def test_the_commands_of_the_documentation_make_a_whole_study(tmp_path, monkeypatch, capsys):
    """As they stand there; only simulating and synthesizing are replaced."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Resources").symlink_to(DOCS.parents[1] / "Resources")
    for command, replaced in ((phantom, write_patient), (synthesize, write_maps)):
        monkeypatch.setattr(command, "worker", nullcontext)
        monkeypatch.setattr(command, "run_job", replaced)
    done = []
    for words in commands_of_the_docs():
        assert main(words) == 0, (words, capsys.readouterr().err)
        done.append(words[:2])
    names = ["create", "next", "answer", "answer", "rehearse", "status", "verify", "close", "analyse", "export"]
    assert [second for first, second in done if first == "study"] == names
    assert "The record is whole" in capsys.readouterr().out
    analysis = json.loads((tmp_path / "trial-report" / "analysis.json").read_text("utf-8"))
    assert "simulated" in json.dumps(analysis["statements"]).lower()
    assert list((tmp_path / "trial-tables").iterdir())


def test_a_phantom_without_an_acquired_map_is_told_how_to_get_one(run, tmp_path):
    here = write_case(tmp_path / "cases", 1)
    case = Case.open(here)
    (here / "case.json").unlink()
    Case(case.id, {Role.T1: case.files[Role.T1]}, simulated=True, facts={"grade": "low"}).write(here)
    protocol = resources_folder() / "StudyForms" / "tryout-protocol.yaml"
    other = tmp_path / "protocol.yaml"
    other.write_text(protocol.read_text("utf-8").replace("[phantom-low-4]", "[]"))
    code, _, err = run("create", here, "--protocol", other, "--out", tmp_path / "study")
    assert code == 1
    assert "has no CBV_acquired" in err
    assert "without --no-dsc" in err


def test_every_kind_of_item_can_be_rehearsed_and_evaluated(run, tmp_path):
    kinds = ("hotspots", "outline", "text", "flag", "confidence")
    form = {
        "id": "all",
        "title": "All",
        "items": [{"id": kind, "kind": kind, "text": kind, "required": True, "modes": ["roi"]} for kind in kinds],
    }
    study = make_study(tmp_path, 6, form=form, modes=["roi"], simulated_readers=True, washout_days=0).folder
    for words in (["rehearse", study], ["close", study]):
        assert run(*words)[0] == 0
    assert run("analyse", study, "--key", tmp_path / "key.json", "--out", tmp_path / "report")[0] == 0
    regions = json.loads((tmp_path / "report" / "analysis.json").read_text("utf-8"))["regions"]
    values = {found["item"]: found["arms"][0] for found in regions if found["measure"] == "max"}
    assert set(values) == {"hotspots", "outline"}
    # The highest value of the map on which it was marked lies in every region.
    assert values["hotspots"]["test_values"] == values["outline"]["test_values"]


def test_a_study_of_people_is_not_rehearsed(run, tmp_path):
    study = make_study(tmp_path, 1).folder
    code, _, err = run("rehearse", study)
    assert code == 1
    assert "The readers of this study are people" in err


def test_an_answer_can_be_amended_when_the_session_is_finished(run, tmp_path):
    study = make_study(tmp_path, 1, readers=["R1"], modes=["side_by_side"]).folder
    assert run("answer", study, "--reader", "R1", "--item", "better=none", "--submit")[0] == 0
    code, out, err = run("amend", study, "--reader", "R1", "--item", "better=left", "--reason", "typing")
    assert code == 0, err
    receipt = out.splitlines()[-1].split()[1]
    assert run("close", study)[0] == 0
    code, out, _ = run("verify", study, "--receipt", receipt)
    assert code == 0
    assert "Answers amended after submission: 1." in out


def test_a_damaged_study_is_closed_for_a_reason_only(run, tmp_path):
    study = make_study(tmp_path, 1).folder
    next((study / "images").iterdir()).unlink()
    code, _, err = run("close", study, "--incomplete", "test")
    assert code == 1
    assert "is missing" in err
    assert "--accept-damaged REASON" in err
    code, out, _ = run("close", study, "--incomplete", "test", "--accept-damaged", "the disk broke")
    assert code == 0
    assert "although it is not whole" in out
    assert "Closed although the record was not whole (the disk broke): Images:" in run("verify", study)[1]


def as_text(value):
    return value if isinstance(value, str) else json.dumps(value)


def test_reading_by_hand_is_readable_and_neutral(run, tmp_path):
    study = make_study(tmp_path, 2, modes=["side_by_side"]).folder
    code, out, err = run("next", study, "--reader", "R1")
    assert code == 0
    assert "R1, session 1: 0 of 2 done" in out
    assert "left " in out
    assert "better: Which? [left left, none none, right right] = open" in out
    code, out, err = run("answer", study, "--reader", "R1", "--item", "better=none", "--item", "remark=2")
    assert code == 0
    assert 'better: Which? [left left, none none, right right] = "none"' in out
    assert 'remark: Remarks = "2"' in out
    run("answer", study, "--reader", "R1", "--submit")
    assert run("amend", study, "--reader", "R1", "--item", "better=left", "--reason", "typing")[0] == 0
    code, out, _ = run("skip", study, "--reader", "R1", "--reason", "interrupted")
    assert code == 0
    code, out, _ = run("sign-out", study, "--reader", "R1")
    receipt = out.split()[1]
    code, out, err = run("verify", study, "--receipt", receipt)
    assert code == 0
    assert "Answers amended after submission: 1." in out
    assert not any(word in out + err for word in ("gadolinium", "zebrafish", "patient-"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["next", "STUDY", "--reader", "R9"], "no reader R9"),
        (["answer", "STUDY", "--reader", "R1", "--item", "quality"], "not NAME=VALUE"),
        (["answer", "STUDY", "--reader", "R1", "--item", "quality=9"], "Choose one of 1, 2, 3, 4, 5"),
        (["answer", "STUDY", "--reader", "R1", "--submit"], "no answer yet"),
        (["close", "STUDY"], "Not everything is read"),
        (["verify", "STUDY", "--receipt", "3:x"], "no receipt"),
        (["recover", "STUDY", "--reason", "x"], "Nothing is lost"),
        (["merge", "STUDY", "STUDY", "--out", "OUT", "--take", "R1=x"], "no number"),
        (["status", "OUT"], "no study.json"),
    ],
)
def test_a_mistake_is_one_line(run, tmp_path, arguments, words):
    study = make_study(tmp_path, 1).folder
    places = {"STUDY": study, "OUT": tmp_path / "out"}
    code, out, err = run(*(places.get(each, each) for each in arguments))
    assert code == 1
    assert words in err
    assert len(err.strip().splitlines()) == 1
    assert out == ""


def test_an_altered_record_ends_in_an_error(run, tmp_path):
    study = make_study(tmp_path, 1).folder
    next((study / "images").iterdir()).unlink()
    code, out, err = run("verify", study)
    assert code == 1
    assert "is missing" in out
    assert "THE RECORD IS NOT WHOLE" in out
    assert "1 problem" in err


def test_washout_is_refused_and_overridden_on_the_command_line(run, tmp_path):
    study = make_study(tmp_path, 1).folder
    run("next", study, "--reader", "R1")
    assert run("answer", study, "--reader", "R1", "--item", "quality=3", "--item", "certain=50", "--submit")[0] == 0
    code, _, err = run("next", study, "--reader", "R1")
    assert code == 1
    assert "28 days after the same cases" in err
    assert run("next", study, "--reader", "R1", "--override-washout", "pilot")[0] == 0
    assert run("answer", study, "--reader", "R1", "--item", "quality=3")[0] == 0


def test_the_shipped_example_fits_the_shipped_form(run, tmp_path):
    for number in (1, 2):
        write_case(tmp_path / "cases", number)
    example = yaml.safe_load((resources_folder() / "StudyForms" / "example-protocol.yaml").read_text("utf-8"))
    example["arms"][1]["source"] = "made/map.nii.gz"
    example["training_cases"] = ["patient-002"]
    protocol = tmp_path / "protocol.json"
    protocol.write_text(json.dumps(example))
    code, _, err = run("create", tmp_path / "cases", "--protocol", protocol, "--out", tmp_path / "study")
    assert code == 0, err
    assert {slot.presentation.mode for slot in Study.read(tmp_path / "study").slots("R2")} == {
        "single", "side_by_side", "turing", "roi",
    }  # fmt: skip
