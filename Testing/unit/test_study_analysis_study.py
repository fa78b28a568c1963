"""From a closed study folder to results, report and exports."""

import csv
import json
import re
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from HierSynthLib.errors import InputError, OutputError
from HierSynthLib.progress import Silent
from HierSynthLib.reader_study.administration import close_study
from HierSynthLib.reader_study.analysis.analyse import analyse
from HierSynthLib.reader_study.analysis.data import load
from HierSynthLib.reader_study.analysis.run import analyse_study
from HierSynthLib.reader_study.exports import export_study
from HierSynthLib.reader_study.exports.mrmc import imrmc_files
from HierSynthLib.reader_study.exports.redcap import DICTIONARY_COLUMNS
from HierSynthLib.reader_study.key import Key
from HierSynthLib.reader_study.record.session import sign_in
from HierSynthLib.volume import read_volume
from Testing.reader_studies import SEED, Time, make_study, read_session
from Testing.simulated_readers import REFERENCE, TEST, simulate

ACQUIRED, OTHER = "gadolinium", "zebrafish"
FORM = {
    "id": "f",
    "title": "Form",
    "items": [
        {"id": "quality", "kind": "likert", "text": "Quality <b>",
         "anchors": ["bad", "=2+2", "fair | so", "good", "best"],
         "modes": ["single"]},
        {"id": "artefact", "kind": "likert", "text": "Artefact", "anchors": list("abcde"), "modes": ["single"],
         "higher_is_better": False, "margin": 0.75},
        {"id": "grade", "kind": "choice", "text": "Grade", "options": ["low", "high"], "purpose": "diagnosis",
         "truth": "grade", "positive": "high", "modes": ["single"]},
        {"id": "grade-confidence", "kind": "confidence", "text": "Sure?", "about": "grade", "modes": ["single"]},
        {"id": "strange", "kind": "flag", "text": "Strange?", "modes": ["single"]},
        {"id": "better", "kind": "choice", "text": "Which?", "options": ["left", "none", "right"],
         "purpose": "preference", "modes": ["side_by_side"]},
        {"id": "origin", "kind": "choice", "text": "Made?", "options": ["acquired", "synthetic"], "purpose": "origin",
         "modes": ["turing"]},
        {"id": "spots", "kind": "hotspots", "text": "Mark", "modes": ["roi"]},
        {"id": "remark", "kind": "text", "text": "Remarks", "required": False, "modes": ["single"]},
    ],
}  # fmt: skip
CENTRE, RADIUS = [9.0, 9.0, 10.0], 5.0


class Reader:
    """Answers that follow from what the map is, so that every result is known."""

    def __init__(self, key):
        self._key = key

    def __call__(self, item, slot):
        images = slot.presentation.images
        arms = [self._key.arms[image] for image in images]
        case = int(self._key.cases[images[0]][-3:])
        good = arms[0] == ACQUIRED
        return {
            "quality": (5 if good else 4 - (case == 6)) - case % 2,
            "artefact": 2 if good else 3,
            "grade": "high" if (case % 2) == (case != 3 or not good) else "low",
            "grade-confidence": 20.0 + case,
            "strange": not good and case == 2,
            "better": "none" if case == 1 else ("left", "right")[arms[0] != ACQUIRED],
            "origin": "synthetic" if not good or case == 4 else "acquired",
            "spots": [{"centre_mm": CENTRE, "radius_mm": RADIUS}],
            "remark": "@SUM(1)",
        }[item.id]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A study of eight cases and one for training, read by two readers and closed."""
    folder = tmp_path_factory.mktemp("study")
    modes = [{"kind": kind, "washout_days": 0} for kind in ("single", "side_by_side", "turing", "roi")]
    made = make_study(
        folder, 9, form=FORM, modes=modes, duplicates=0.3, training_cases=["patient-009"], simulated_readers=True
    )
    key, time = Key.read(folder / "key.json"), Time()
    for _, reader in product(range(max(slot.session for slot in made.slots("R1"))), made.readers):
        read_session(made.folder, reader, time, answer=Reader(key))
    close_study(made.folder)
    return folder


@pytest.fixture(scope="module")
def results(study, tmp_path_factory):
    out = tmp_path_factory.mktemp("analysis") / "out"
    told = analyse_study(study / "study", study / "key.json", out, Silent())
    return out, json.loads((out / "analysis.json").read_text("utf-8")), told


@pytest.fixture(scope="module")
def exported(study, tmp_path_factory):
    out = tmp_path_factory.mktemp("exports") / "out"
    formats = ["long", "imrmc", "mrmcaov", "redcap"]
    files = export_study(study / "study", study / "key.json", out, formats, Silent())
    assert all(path.name.startswith("SIMULATED-") for path in files)
    return {path.name.removeprefix("SIMULATED-"): path.read_text("utf-8") for path in files}


def rows_of(text):
    return list(csv.DictReader(text.splitlines()))


# --- reading the study -----------------------------------------------------------------------------------------------


def test_a_study_is_unblinded_only_when_closed_and_with_its_own_key(tmp_path):
    made = make_study(tmp_path / "a", 2)
    with pytest.raises(InputError, match="not closed"):
        load(made.folder, tmp_path / "a" / "key.json")
    make_study(tmp_path / "b", 2, seed=SEED + 1)
    close_study(made.folder, incomplete="a test")
    with pytest.raises(InputError, match="does not belong"):
        load(made.folder, tmp_path / "b" / "key.json")
    with pytest.raises(InputError, match="cannot be read"):
        export_study(made.folder, tmp_path / "none.json", tmp_path / "out", ["long"], Silent())
    assert not (tmp_path / "out").exists()


def test_arms_cases_and_duplicates_come_from_the_key(study):
    found = load(study / "study", study / "key.json")
    assert found.arms == (ACQUIRED, OTHER)
    assert found.cases == tuple(f"patient-{n:03d}" for n in range(1, 9))  # without the one for training
    firsts = found.firsts("single")
    assert sorted((one.reader, one.case, one.arms) for one in firsts) == sorted(
        product(found.readers, found.cases, [(ACQUIRED,), (OTHER,)])
    )
    assert len(found.readings) == sum(found.expected.values())
    repeats = [one for one in found.readings if one.repeats]
    shown = {(one.reader, one.presentation): one for one in found.readings}
    assert repeats
    for one in repeats:
        first = shown[one.reader, one.repeats]
        assert (first.case, set(first.arms), first.position < one.position) == (one.case, set(one.arms), True)


def test_an_amendment_counts_and_the_time_of_what_it_replaced_stays(tmp_path):
    made, time = make_study(tmp_path, 5), Time()
    key = Key.read(tmp_path / "key.json")
    with sign_in(made.folder, "R1", clock=time, monotonic=time.monotonic) as session:
        first = session.show()
        for item in session.items:
            session.answer(item.id, {"quality": 2, "certain": 50.0, "remark": ""}[item.id])
        session.answer("quality", 3)
        session.submit()
        session.back()
        session.show()
        session.amend("quality", 5, "wrong key")
    close_study(made.folder, incomplete="a test")
    found = load(made.folder, tmp_path / "key.json")
    (one,) = found.readings
    assert one.answers["quality"] == 5
    assert found.amendments == {"R1": 1}
    assert one.case == key.cases[first.presentation.images[0]]
    # A look at the clock takes a second; those of the amendment, made after submission, are not reading time.
    assert one.active_s == 5


def test_a_washout_that_was_cut_short_is_told(tmp_path):
    made, time = make_study(tmp_path, 5), Time()
    read_session(made.folder, "R1", time)
    time.later(days=3)
    read_session(made.folder, "R1", time, override="on leave later")
    close_study(made.folder, incomplete="a test")
    assert (
        load(made.folder, tmp_path / "key.json").warnings[-1]
        == "R1 read session 2 3.0 instead of 28 days after the same cases. Reason: on leave later"
    )


# --- results ---------------------------------------------------------------------------------------------------------


def test_known_answers_give_known_results(results):
    found = results[1]
    rows = {row["item"]: row for row in found["comparisons"]}
    assert rows["quality"]["difference"]["value"] == pytest.approx(-9 / 8)
    assert rows["quality"]["non_inferiority"]["verdict"] == "inferior"
    assert rows["artefact"]["difference"]["value"] == pytest.approx(-1)  # more artefact is worse
    assert rows["artefact"]["non_inferiority"]["margin"] == 0.75
    assert rows["quality"]["pairs"] == 16
    assert rows["quality"]["clustered"]["p"] == pytest.approx(2 / 2**8)
    assert rows["quality"]["p_holm"] == pytest.approx(4 / 2**8)
    preferred = found["preferences"][0]["arms"][OTHER]
    assert preferred["counts"] == {"test": 0, "none": 2, "reference": 14}
    (question,) = found["turing"]
    assert question["pooled"]["accuracy"]["value"] == pytest.approx(15 / 16)
    assert question["pooled"]["balanced"]["value"] == pytest.approx(15 / 16)
    assert question["pooled"]["sensitivity"]["value"] == 1
    assert (question["acquired"], question["synthetic"]) == ([ACQUIRED], [OTHER])
    (diagnosis,) = found["diagnosis"]
    assert (diagnosis["positive"], diagnosis["negative"]) == (4, 4)
    right = {arm["arm"]: arm["pooled"]["accuracy"]["value"] for arm in diagnosis["choices"]}
    assert right == pytest.approx({ACQUIRED: 7 / 8, OTHER: 1})
    flagged = found["flags"][0]["arms"]
    assert flagged[OTHER]["pooled"]["value"] == pytest.approx(1 / 8)
    assert {row["item"] for row in found["comparisons"]} == {"quality", "artefact"}


def test_items_show_every_coefficient_and_duplicates_are_identical(results):
    items = {(item["id"], item["mode"]): item for item in results[1]["items"]}
    quality = items["quality", "single"]
    assert quality["arms"][ACQUIRED]["counts"] == [0, 0, 0, 8, 8]
    assert quality["agreement"][OTHER]["coefficients"]["percent"]["value"] == 1
    assert quality["labels"][0] == "bad"
    repeats = {(row["id"], row["reader"]): row for row in results[1]["repeats"]}
    assert repeats["quality", "all"]["identical"] == 1
    assert repeats["better", "all"]["identical"] == 1  # although the sides are exchanged
    assert repeats["quality", "R1"]["within_sd"] == 0


def test_marked_regions_are_measured_on_every_map(study, results):
    key = Key.read(study / "key.json")
    found = load(study / "study", study / "key.json").regions
    for image in sorted(key.arms)[:6]:
        volume = read_volume(study / "study" / "images" / f"{image}.nii")
        index = np.stack(np.meshgrid(*(np.arange(n) for n in volume.grid), indexing="ij"), axis=-1)
        places = index @ volume.affine[:3, :3].T + volume.affine[:3, 3]
        inside = np.linalg.norm(places - CENTRE, axis=-1) <= RADIUS
        own = [row for row in found if (row.case, row.measured_on) == (key.cases[image], key.arms[image])]
        if key.cases[image] != "patient-009":
            assert {row.marked_on for row in own} == {ACQUIRED, OTHER}
            means = [row.value for row in own if row.measure == "mean"]
            assert means == pytest.approx([float(volume.array[inside].mean())] * len(means))
    placements = {entry["placement"] for entry in results[1]["regions"]}
    assert f"regions marked on {ACQUIRED}, measured on all maps" in placements


def test_the_report_says_what_it_is_and_escapes_what_was_typed(results, study):
    out, _, told = results
    page = (out / "report.html").read_text("utf-8")
    assert "RESEARCH · SIMULATED READERS" in page
    assert "Quality &lt;b&gt;" in page
    assert "Quality <b>" not in page
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert str(study) not in page
    assert "Read these coefficients together" in page
    assert page.count("<img") >= 8
    assert any("inferior" in sentence for sentence in told["sentences"])
    assert told["simulated"]
    with pytest.raises(OutputError, match="not empty"):
        analyse_study(study / "study", study / "key.json", out, Silent())


def test_a_study_that_nobody_read_is_analysed(tmp_path):
    made = make_study(tmp_path, 5)
    close_study(made.folder, incomplete="a test")
    told = analyse_study(made.folder, tmp_path / "key.json", tmp_path / "out", Silent())
    assert "No arms can be compared" in told["sentences"][0]
    assert "Not all presentations were read" in told["warnings"][-1]


# --- exports ---------------------------------------------------------------------------------------------------------


def test_long_csv_and_codebook_explain_each_other(exported, study):
    rows, book = rows_of(exported["answers.csv"]), rows_of(exported["codebook.csv"])
    found = load(study / "study", study / "key.json")
    assert len(rows) == sum(len(one.answers) for one in found.readings)
    names = [row["name"] for row in book]
    assert names[: len(rows[0])] == list(rows[0])
    assert {f"item {row['item']}" for row in rows} <= set(names)
    quality = next(row for row in rows if row["item"] == "quality" and row["value"] == "4")
    assert (quality["label"], quality["simulated"]) == ("good", "readers")
    assert {row["value"] for row in rows if row["item"] == "remark"} == {"'@SUM(1)"}  # no formula for a spreadsheet
    pair = next(row for row in rows if row["item"] == "better")
    assert {pair["left_arm"], pair["right_arm"]} == {ACQUIRED, OTHER}
    assert json.loads(next(row["value"] for row in rows if row["item"] == "spots"))[0]["radius_mm"] == RADIUS


def test_imrmc_has_truth_rows_and_the_scores_of_the_analysis(exported, results):
    text = exported["imrmc-grade-single.imrmc"]
    header, data = text.split("BEGIN DATA:\n")
    assert "SIMULATED READERS" in header
    assert {"NR: 2", "N0: 4", "N1: 4", "NM: 2"} <= set(header.splitlines())
    rows = [line.split(",") for line in data.splitlines()]
    assert rows == [list(row.values()) for row in rows_of(exported["imrmc-grade-single.csv"])]
    truth = {case: int(score) for reader, case, arm, score in rows if (reader, arm) == ("truth", "truth")}
    assert len(truth) == 8
    for curve in results[1]["diagnosis"][0]["curves"]:
        own = [(truth[case], float(score)) for reader, case, arm, score in rows
               if (reader, arm) == (curve["reader"], curve["arm"])]  # fmt: skip
        assert len(own) == 8
        assert roc_auc_score(*zip(*own, strict=True)) == pytest.approx(curve["auc"]["value"])


def test_mrmcaov_is_one_row_per_score(exported):
    rows = rows_of(exported["mrmcaov-grade-single.csv"])
    assert list(rows[0]) == ["reader", "treatment", "case", "truth", "rating"]
    assert len(rows) == 2 * 2 * 8
    assert {(row["case"], row["truth"]) for row in rows} == {(f"patient-{n:03d}", str(n % 2)) for n in range(1, 9)}


def test_redcap_takes_its_dictionary_and_its_records(exported, study):
    dictionary = list(csv.reader(exported["redcap-data-dictionary.csv"].splitlines()))
    assert tuple(dictionary[0]) == DICTIONARY_COLUMNS
    fields = {row[0]: dict(zip(DICTIONARY_COLUMNS, row, strict=True)) for row in dictionary[1:]}
    assert dictionary[1][0] == "record_id"
    assert all(re.fullmatch(r"[a-z][a-z0-9_]{0,25}", name) and not name.endswith("_") for name in fields)
    assert {field["Form Name"] for field in fields.values()} == {"reading"}
    assert {field["Field Type"] for field in fields.values()} == {"text", "radio", "yesno", "notes"}
    records = rows_of(exported["redcap-records.csv"])
    assert set(records[0]) == {*fields, "reading_complete"}
    assert len({record["record_id"] for record in records}) == len(records)
    choices = {
        name: [choice.split(", ", 1)[0] for choice in field["Choices, Calculations, OR Slider Labels"].split(" | ")]
        for name, field in fields.items()
        if field["Field Type"] == "radio"
    }
    assert choices["quality"] == ["1", "2", "3", "4", "5"]
    assert set(choices["better"]) == {"left", "none", "right"}
    for record in records:
        assert all(record[name] in ("", *codes) for name, codes in choices.items())
        assert record["strange"] in ("", "0", "1")
        assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", record["submitted_at"])
    assert fields["grade_confidence"]["Text Validation Max"] == "100"


def test_names_that_imrmc_cannot_read_stay_apart():
    """It splits lines at commas, and "truth" is its own word."""
    study = simulate(2, 12, ratings=1, turing=False, side_by_side=False)
    names = {"case-001": "a,b", "case-002": "a b", TEST: "truth"}
    readings = [
        replace(one, case=names.get(one.case, one.case), arms=tuple(names.get(arm, arm) for arm in one.arms))
        for one in study.readings
    ]
    odd = replace(
        study,
        arms=(REFERENCE, "truth"),
        cases=tuple(names.get(case, case) for case in study.cases),
        truth={names.get(case, case): facts for case, facts in study.truth.items()},
        readings=tuple(readings),
    )
    rows = [line.split(",") for line in imrmc_files(odd)["imrmc-grade-single.imrmc"].split("DATA:\n")[1].splitlines()]
    assert {len(row) for row in rows} == {4}
    assert {"a_b", "a_b_2"} <= {row[1] for row in rows}
    assert {row[2] for row in rows if row[0] != "truth"} == {REFERENCE, "truth_2"}
    assert len(rows) == 12 + 2 * 2 * 12


def test_several_arms_are_each_compared_with_the_reference():
    first, second = simulate(3, 20, seed=1), simulate(3, 20, seed=1, effect=-2.0)
    third = [
        replace(one, arms=tuple("third" if arm == TEST else arm for arm in one.arms), presentation=f"z{n}")
        for n, one in enumerate(second.readings)
        if one.mode == "single" and one.arms == (TEST,) and not one.repeats
    ]
    study = replace(first, arms=(*first.arms, "third"), readings=(*first.readings, *third))
    found = analyse(study, Silent())
    rows = {(row["item"], row["test"]): row for row in found["comparisons"]}
    assert len(rows) == 3 * 2
    assert rows["item1", "third"]["tests"] == 6
    assert rows["item1", "third"]["non_inferiority"]["verdict"] == "inferior"
    assert rows["item1", TEST]["difference"]["value"] > rows["item1", "third"]["difference"]["value"] + 1
    assert {(entry["first"], entry["second"]) for entry in found["diagnosis"][0]["mrmc"]} == {
        (REFERENCE, TEST),
        (REFERENCE, "third"),
    }


def test_no_format_and_nothing_to_export_are_told(study, tmp_path):
    with pytest.raises(InputError, match="'spss' is unknown"):
        export_study(study / "study", study / "key.json", tmp_path / "out", ["long", "spss"], Silent())
    made = make_study(tmp_path, 2)
    close_study(made.folder, incomplete="a test")
    with pytest.raises(InputError, match="no diagnosis"):
        export_study(made.folder, tmp_path / "key.json", tmp_path / "out", ["imrmc", "mrmcaov"], Silent())
    assert not (tmp_path / "out").exists()
    reporter = Silent()
    files = export_study(made.folder, tmp_path / "key.json", tmp_path / "out", ["imrmc", "long"], reporter)
    assert [path.name for path in files] == ["answers.csv", "codebook.csv"]
    assert reporter.warnings == [
        "The study was closed before everything was read. Reason: a test",
        "Nothing to export as imrmc: the study has no diagnosis with a confidence and a known truth.",
    ]
