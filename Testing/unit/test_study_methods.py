"""The methods paragraph: it says what was planned, and of a closed study what was done."""

import json

import pytest

from HierSynthLib.errors import InputError
from HierSynthLib.reader_study.administration import close_study
from HierSynthLib.reader_study.methods import methods_of
from Testing.reader_studies import Time, fill_record, make_study, read_session

ACQUIRED, OTHER = "gadolinium", "zebrafish"
QUALITY = {"id": "quality", "kind": "likert", "text": "Quality", "anchors": list("abcde")}
NOISE = {"id": "noise", "kind": "likert", "text": "Noise", "anchors": list("abcde")}
FORM = {"id": "f", "title": "Form", "items": [QUALITY, NOISE]}


def read_and_closed(folder, cases=8, *, form=FORM, **changes):
    made = make_study(folder, cases, form=form, **changes)
    fill_record(made, Time())
    close_study(made.folder)
    return made


def paragraph(folder, *, key=True):
    return methods_of(folder / "study", folder / "key.json" if key else None)


def test_the_arms_are_named_only_with_the_key(tmp_path):
    items = [
        QUALITY,
        {"id": "grade", "kind": "choice", "text": "Grade", "options": ["low", "high"], "purpose": "diagnosis",
         "truth": "grade", "positive": "high"},
        {"id": "sure", "kind": "confidence", "text": "Sure?", "about": "grade"},
    ]  # fmt: skip
    form = {"id": "f", "title": "Form", "items": items}
    read_and_closed(tmp_path, 9, form=form, training_cases=["patient-009"], simulated_readers=True)
    blinded = paragraph(tmp_path, key=False)
    assert ACQUIRED not in blinded
    assert OTHER not in blinded
    assert blinded.startswith("Two simulated readers read the cases in two or more arms")
    whole = paragraph(tmp_path)
    assert f"eight cases in two arms: {ACQUIRED} and {OTHER}, with {ACQUIRED} as reference" in whole
    assert "Readers chose low or high (grade) and gave their confidence from 0 to 100." in whole
    assert "Obuchowski–Rockette" in whole
    assert "one training case came first and was not analysed" in whole
    assert "Gaussian" in whole
    assert "Outside the voxels in which every arm has values" in whole


def test_the_key_of_another_study_is_refused(tmp_path):
    make_study(tmp_path / "a", 2)
    make_study(tmp_path / "b", 3)
    with pytest.raises(InputError, match="does not belong"):
        methods_of(tmp_path / "a" / "study", tmp_path / "b" / "key.json")


def test_an_open_study_is_told_as_a_plan(tmp_path):
    make_study(tmp_path, 4)
    text = paragraph(tmp_path)
    assert text.startswith("The study is not closed; this is what is planned. Two readers will read four cases")
    assert "sessions with the same cases will be at least 28 days apart" in text
    assert "Non-inferiority will be tested" in text
    for past in (" was run", "were locked", "were shown", "was tested", "were at least"):
        assert past not in text


def test_a_washout_that_was_cut_short_is_not_claimed(tmp_path):
    made, time = make_study(tmp_path, 4, readers=["R1"]), Time()
    read_session(made.folder, "R1", time)
    time.later(days=3)
    read_session(made.folder, "R1", time, override="on leave later")
    close_study(made.folder)
    text = paragraph(tmp_path)
    assert "were to be at least 28 days apart, but one session began after 3.0 days" in text
    assert "were at least 28 days apart" not in text


def test_what_was_not_read_is_counted(tmp_path):
    made = make_study(tmp_path, 4)
    read_session(made.folder, "R1", Time(), most=3)
    close_study(made.folder, incomplete="a test")
    assert "Of 16 planned readings 3 were made." in paragraph(tmp_path)


def test_repetitions_are_counted_and_not_computed_from_the_share(tmp_path):
    read_and_closed(tmp_path / "none", 4)
    assert "repetitions" not in paragraph(tmp_path / "none")
    made = read_and_closed(tmp_path / "some", 8, duplicates=0.25)
    key = json.loads((tmp_path / "some" / "key.json").read_text("utf-8"))
    slots = [slot.presentation.id for reader in made.readers for slot in made.slots(reader)]
    repeated = sum(presentation in key["duplicates"] for presentation in slots)
    assert repeated
    assert f"{repeated} of {len(slots)} readings were unannounced repetitions" in paragraph(tmp_path / "some")


def test_simulated_patients_are_counted(tmp_path):
    read_and_closed(tmp_path, 4)
    key = json.loads((tmp_path / "key.json").read_text("utf-8"))
    assert "simulated" not in paragraph(tmp_path)
    for names, words in ((["patient-001", "patient-002"], "two of them simulated patients"),
                         ([f"patient-00{n}" for n in range(1, 5)], "all simulated patients")):  # fmt: skip
        (tmp_path / "key.json").write_text(json.dumps(key | {"simulated": names}), "utf-8")
        assert f"four cases ({words})" in paragraph(tmp_path)


def test_end_points_level_and_adjustment_are_those_of_the_analysis(tmp_path):
    read_and_closed(tmp_path / "none", 4)
    text = paragraph(tmp_path / "none")
    assert "one-sided at 2.5 %" in text
    assert "No primary end point was declared, so all ratings were judged." in text
    assert "adjusted by Holm's method over all two judged comparisons" in text
    items = [QUALITY | {"primary": True, "margin": 0.4}, NOISE]
    read_and_closed(tmp_path / "one", 4, form={"id": "f", "title": "Form", "items": items})
    text = paragraph(tmp_path / "one")
    assert "with a margin of 0.4 points" in text
    assert "The primary end point declared before reading began was quality; the other ratings were described" in text
    assert "judged comparisons" not in text  # one comparison: nothing is adjusted


def test_a_primary_item_counts_once_for_each_mode_and_never_where_it_is_not_asked(tmp_path):
    for name, modes, words in (
        ("twice", ["single", "turing"], "over all two judged comparisons"),
        ("once", ["single"], "The declared primary end point is quality; the other ratings will be described"),
        ("never", ["roi"], "The primary end point of the form is not asked in these modes, so no rating is judged."),
    ):
        items = [QUALITY | {"primary": True, "modes": modes}, NOISE | {"modes": ["single", "turing"]}]
        make_study(tmp_path / name, 2, modes=["single", "turing"], form={"id": "f", "title": "Form", "items": items})
        text = paragraph(tmp_path / name)
        assert words in text
        assert ("adjusted by Holm's method over all two" in text) == (name == "twice")
