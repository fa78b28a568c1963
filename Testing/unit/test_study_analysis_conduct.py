"""What a study's record tells beside the answers: damage, amendments, time; and what counts as true and as primary."""

import csv
import json
import sqlite3
from dataclasses import replace

import numpy as np
import pytest

from HierSynthLib.errors import InputError
from HierSynthLib.progress import Silent
from HierSynthLib.reader_study.administration import close_study, study_status
from HierSynthLib.reader_study.analysis.analyse import analyse
from HierSynthLib.reader_study.analysis.data import load
from HierSynthLib.reader_study.analysis.diagnosis import diagnoses, truth_of, unknown_truths
from HierSynthLib.reader_study.analysis.run import analyse_study
from HierSynthLib.reader_study.analysis.verdicts import comparisons
from HierSynthLib.reader_study.exports import export_study
from HierSynthLib.reader_study.exports.mrmc import mrmcaov_files
from HierSynthLib.reader_study.key import Key
from HierSynthLib.reader_study.methods import methods_of
from HierSynthLib.reader_study.record.database import open_record, writing
from HierSynthLib.reader_study.record.events import chain, write_anchor
from HierSynthLib.reader_study.record.refusals import DamagedRecordError
from HierSynthLib.reader_study.record.session import sign_in
from HierSynthLib.reader_study.report.page import statements, summary_sentences
from HierSynthLib.reader_study.report.sections import agreement_section
from HierSynthLib.reader_study.study import RECORD_FILE
from HierSynthLib.reader_study.verify import verify_record
from Testing.reader_studies import Time, fill_record, make_study
from Testing.simulated_readers import REFERENCE, simulate

GRADE = {"id": "grade", "kind": "choice", "text": "Grade", "options": ["low", "high"], "purpose": "diagnosis",
         "truth": "grade", "positive": "high", "modes": ["single"]}  # fmt: skip
SURE = {"id": "sure", "kind": "confidence", "text": "Sure?", "about": "grade", "modes": ["single"]}
QUALITY = {"id": "quality", "kind": "likert", "text": "Quality", "anchors": list("abcde"), "modes": ["single"]}
FORM = {"id": "f", "title": "Form", "items": [QUALITY, GRADE, SURE]}


def made_and_read(folder, cases=4, **changes):
    made = make_study(folder, cases, form=FORM, **changes)
    fill_record(made, Time())
    close_study(made.folder)
    return made


# --- truth -----------------------------------------------------------------------------------------------------------


def with_truth(study, **values):
    return replace(study, truth={**study.truth, **{name: {"grade": value} for name, value in values.items()}})


@pytest.mark.parametrize("wrong", ["High", "HGG", "3", "n/a", "highest", 1])
def test_a_truth_that_is_no_answer_is_refused_and_never_taken_as_negative(wrong):
    study = simulate(2, 12, ratings=1, turing=False, side_by_side=False)
    name = study.cases[1]
    odd = with_truth(study, **{name: wrong})
    for use in (diagnoses, unknown_truths, mrmcaov_files):
        with pytest.raises(InputError, match=f"case {name} is '{wrong}'"):
            use(odd)


def test_spaces_around_a_truth_do_not_count_and_a_missing_one_is_told():
    study = simulate(2, 12, ratings=1, turing=False, side_by_side=False)
    first, second, third = study.cases[:3]
    (found,) = diagnoses(with_truth(study, **{second: " high ", first: None, third: " "}))
    assert found.positive.sum() == 6
    assert found.scores.cases == study.cases[1:2] + study.cases[3:]
    lacking = with_truth(study, **{first: None, third: " "})
    assert truth_of(lacking, lacking.question("grade"))[second] is True
    assert analyse(lacking, Silent())["warnings"][0] == (
        'Grade: 2 cases are left out, whose "grade" is not known.'
    )  # fmt: skip


def test_a_wrong_truth_in_the_key_stops_analysis_and_exports(tmp_path):
    made = made_and_read(tmp_path)
    key = json.loads((tmp_path / "key.json").read_text("utf-8"))
    key["truth"]["patient-001"]["grade"] = "HIGH"
    (tmp_path / "key.json").write_text(json.dumps(key), "utf-8")
    with pytest.raises(InputError, match='"grade" of the case patient-001'):
        analyse_study(made.folder, tmp_path / "key.json", tmp_path / "out", Silent())
    with pytest.raises(InputError, match='"grade" of the case patient-001'):
        export_study(made.folder, tmp_path / "key.json", tmp_path / "out", ["long"], Silent())
    assert not (tmp_path / "out").exists()


# --- where the maps come from ----------------------------------------------------------------------------------------


def perfect(origins):
    """A study whose arms have these origins, and whose readers always tell them."""
    study = simulate(2, 12, ratings=1, duplicates=0, side_by_side=False)
    rows = [one for one in study.readings if one.mode == "single"]
    turing = [
        replace(one, mode="turing", arms=(arm,), presentation=f"{arm}-{n}", answers={"origin": origin or "synthetic"})
        for arm, origin in origins.items()
        for n, one in enumerate(row for row in rows if row.arms == (REFERENCE,))
    ]
    arms = tuple(origins)
    return replace(study, readings=tuple(turing), arms=arms, reference=arms[0], origins=origins)


@pytest.mark.parametrize(
    "origins",
    [
        {"old": "synthetic", "new": "synthetic", "scan": "acquired"},
        {"new": "synthetic", "scan": "acquired"},
        {"scan": "acquired", "corrected": "acquired", "new": "synthetic"},
    ],
)
def test_the_turing_test_asks_where_maps_come_from_and_not_which_arm_is_the_reference(origins):
    (found,) = analyse(perfect(origins), Silent())["turing"]
    assert [found["pooled"][name]["value"] for name in ("balanced", "sensitivity", "specificity")] == [1, 1, 1]
    assert found["acquired"] == [arm for arm, origin in origins.items() if origin == "acquired"]


def test_an_arm_that_is_neither_is_left_out_and_one_kind_alone_has_no_balanced_accuracy():
    (found,) = analyse(perfect({"new": "synthetic", "true": "", "scan": "acquired"}), Silent())["turing"]
    assert found["pooled"]["accuracy"]["n"] == 2 * 2 * 12
    (found,) = analyse(perfect({"new": "synthetic", "true": ""}), Silent())["turing"]
    assert found["pooled"]["balanced"]["value"] is None
    assert found["pooled"]["sensitivity"]["value"] == 1


# --- verdicts --------------------------------------------------------------------------------------------------------


def with_items(study, **changes):
    """The same study, with other fields of some items."""
    items = tuple(replace(each, **changes.get(each.id, {})) for each in study.questions)
    return replace(study, questions=items)


def compared(study):
    """The comparisons of the arms, and the sentences of the summary on them."""
    rows = comparisons(study, study.asked())
    facts = {"simulated_readers": False}
    return rows, summary_sentences(
        {"comparisons": rows, "preferences": [], "turing": [], "diagnosis": [], "study": facts}
    )


def barely_non_inferior():
    """Three items; for the first, the lower end of the 95 % interval lies just above −margin."""
    study = simulate(4, 80, effect=-0.2, turing=False, side_by_side=False)
    low = compared(study)[0][0]["difference"]["low"]
    return with_items(study, item1={"margin": -low + 0.004}, item2={"margin": 0.05}, item3={"margin": 0.05})


def test_verdicts_follow_from_the_adjusted_p_and_the_summary_says_the_same():
    rows, sentences = compared(barely_non_inferior())
    first = rows[0]["non_inferiority"]
    assert rows[0]["difference"]["low"] > -first["margin"]  # alone it would be non-inferior
    assert first["p"] < 0.025
    assert first["p_holm"] == pytest.approx(3 * first["p"])  # the smallest of three: Holm 1979
    assert first["verdict"] == "inconclusive"
    for row, sentence in zip(rows, sentences, strict=True):
        assert f": {row['non_inferiority']['verdict']} at a margin" in sentence
        assert "Holm over 3 comparisons" in sentence


def test_only_primary_items_get_a_verdict_and_share_the_level():
    rows, sentences = compared(with_items(barely_non_inferior(), item1={"primary": True}))
    first, second, _ = (row["non_inferiority"] for row in rows)
    assert (first["verdict"], first["judged"], first["p_holm"]) == ("non-inferior", 1, first["p"])
    assert (second["verdict"], second["p"], second["p_holm"]) == ("descriptive", None, None)
    assert "descriptive: not a primary end point" in sentences[1]
    two = {name: {"primary": True} for name in ("item1", "item2")}
    rows, _ = compared(with_items(barely_non_inferior(), **two))
    assert [row["non_inferiority"]["judged"] for row in rows] == [2, 2, 2]
    assert rows[2]["non_inferiority"]["verdict"] == "descriptive"


def test_where_the_primary_item_was_not_answered_the_others_get_no_verdict_in_its_place():
    study = with_items(barely_non_inferior(), item1={"primary": True})
    readings = tuple(
        replace(one, answers={item: value for item, value in one.answers.items() if item != "item1"})
        for one in study.readings
    )
    rows, _ = compared(replace(study, readings=readings))
    assert [row["non_inferiority"]["verdict"] for row in rows] == ["descriptive", "descriptive"]


def test_the_report_of_very_few_cases_has_no_tables_of_nothing():
    page = "".join(agreement_section(analyse(simulate(3, 3, turing=False, side_by_side=False), Silent()), []))
    assert "No coefficient can be calculated" in page
    assert "too few for agreement" in page
    assert "Kappa of every pair" not in page
    assert "<table" not in page
    larger = "".join(agreement_section(analyse(simulate(3, 8, turing=False, side_by_side=False), Silent()), []))
    assert "No coefficient can be calculated" not in larger
    assert "Kappa of every pair" in larger


def test_a_margin_of_nothing_is_not_replaced():
    study = with_items(simulate(3, 60, turing=False, side_by_side=False), item1={"margin": 0.0})
    assert compared(study)[0][0]["non_inferiority"]["margin"] == 0


# --- damage ----------------------------------------------------------------------------------------------------------


def test_a_damaged_record_is_refused_unless_it_is_accepted_with_a_reason(tmp_path):
    made = made_and_read(tmp_path)
    with sqlite3.connect(made.folder / RECORD_FILE) as connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute("UPDATE answers SET value = '5' WHERE item = 'quality'")
    connection.close()
    use = made.folder, tmp_path / "key.json", tmp_path / "out"
    with pytest.raises(DamagedRecordError):
        load(*use[:2])
    with pytest.raises(DamagedRecordError):
        export_study(*use, ["long"], Silent())
    with pytest.raises(DamagedRecordError):
        analyse_study(*use, Silent())
    assert not use[2].exists()
    reporter = Silent()
    export_study(*use[:2], tmp_path / "csv", ["long"], reporter, accept_damaged="disk repaired")
    assert "disk repaired" in reporter.warnings[0]
    told = analyse_study(*use, Silent(), accept_damaged="disk repaired")
    assert told["record"]["verified"] is False
    assert told["warnings"][0] == (
        "THE RECORD IS NOT WHOLE and was analysed all the same. Reason: disk repaired"
    )  # fmt: skip
    assert "is not the one that the log tells of" in told["warnings"][1]
    page = (use[2] / "report.html").read_text("utf-8")
    assert "disk repaired" in page
    assert "NOT WHOLE, see the warnings" in page


def test_of_a_damaged_record_what_makes_no_sense_is_left_out(tmp_path):
    made = make_study(tmp_path, 4, form=FORM)
    fill_record(made, Time())
    place = {"position": 1, "active_s": 1.0, "idle_s": 0.0}
    nonsense = [
        *(("R1", "submitted", body) for body in (place, {}, place | {"position": 99}, place | {"active_s": "9"})),
        ("R9", "submitted", place),
        ("R1", "amended", {}),
        ("R1", "amended", {"amendment_of": [], "position": [], "training": False}),
        ("R1", "washout_overridden", {"session": 1}),
        ("R1", "went_back", {"left": {"position": None}}),
        ("R1", "skipped", {}),
    ]
    with open_record(made.folder) as connection, writing(connection):
        for reader, kind, body in nonsense:
            event = chain(connection, reader, kind, body, "2027-01-01T09:00:00.000Z")
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute("UPDATE answers SET value = '9' WHERE item = 'quality' AND position = 1 AND reader = 'R1'")
        connection.execute("UPDATE answers SET value = 'nonsense' WHERE item = 'sure' AND position = 1")
        connection.execute("UPDATE events SET body = ? WHERE seq = ?", ('{"value":NaN}', event.seq))
    write_anchor(made.folder, event)
    assert [each["last_session"] for each in study_status(made.folder)["readers"]] == [1, 2]
    close_study(made.folder, accept_damaged="x")
    found = load(made.folder, tmp_path / "key.json", accept_damaged="x")
    # Eight events (one amendment can be counted, and going on without a position tells nothing), and three answers.
    assert "Answers and events that make no sense were left out: 11." in found.warnings
    assert len(found.readings) == 16
    answers = {(one.reader, one.position): one.answers for one in found.readings}
    assert answers["R1", 1].keys() == {"grade"}
    assert answers["R2", 1].keys() == {"quality", "grade"}
    assert methods_of(made.folder, tmp_path / "key.json").startswith("Two readers read four cases")


def test_an_altered_image_counts_where_regions_are_measured(tmp_path):
    spots = {"id": "spots", "kind": "hotspots", "text": "Mark", "modes": ["single"]}
    made = make_study(tmp_path, 4, form={"id": "f", "title": "F", "items": [QUALITY, spots]})
    fill_record(made, Time())
    close_study(made.folder)
    assert load(made.folder, tmp_path / "key.json").record.images_checked
    image = sorted((made.folder / "images").iterdir())[0]
    image.write_bytes(image.read_bytes()[:-4] + b"\1\2\3\4")
    with pytest.raises(DamagedRecordError, match="Images"):
        load(made.folder, tmp_path / "key.json")
    items = [QUALITY, spots | {"modes": ["roi"]}]
    other = make_study(tmp_path / "other", 4, form={"id": "f", "title": "F", "items": items})
    fill_record(other, Time())
    close_study(other.folder)
    assert not load(other.folder, tmp_path / "other" / "key.json").record.images_checked  # nothing was marked


def test_the_report_holds_the_hash_of_the_last_event(tmp_path):
    made = made_and_read(tmp_path)
    told = analyse_study(made.folder, tmp_path / "key.json", tmp_path / "out", Silent())
    receipt = verify_record(made.folder).receipt
    assert told["record"]["verified"]
    assert told["record"]["receipt"] == receipt
    assert f"Last event: {receipt}." in (tmp_path / "out" / "report.html").read_text("utf-8")


# --- time and amendments ---------------------------------------------------------------------------------------------


def test_time_on_a_case_that_was_left_and_taken_up_again_is_summed(tmp_path):
    """50 s on the second case, back to the first for 30 s, 20 s on the second again, then its answers."""
    made, now = make_study(tmp_path, 4, form={"id": "f", "title": "F", "items": [QUALITY]}), [0.0]
    with sign_in(made.folder, "R1", clock=Time(), monotonic=lambda: now[0]) as session:
        session.show()
        now[0] += 7
        session.answer("quality", 3)
        session.submit()
        session.show()
        now[0] += 50
        session.back()
        session.show()
        now[0] += 30
        session.forward()
        session.show()
        now[0] += 20
        session.answer("quality", 4)
        now[0] += 2
        session.submit()
    close_study(made.folder, incomplete="a test")
    first, second = load(made.folder, tmp_path / "key.json").readings
    assert (first.active_s, second.active_s) == (7, 72)  # looking back at what is submitted is no reading time


def test_an_answer_added_after_submission_is_an_amendment(tmp_path):
    items = [QUALITY, {"id": "odd", "kind": "flag", "text": "Odd?", "modes": ["single"]}]
    made, now = make_study(tmp_path, 4, form={"id": "f", "title": "F", "items": items}), [0.0]
    with sign_in(made.folder, "R1", clock=Time(), monotonic=lambda: now[0]) as session:
        session.show()
        session.answer("quality", 3)
        now[0] += 5
        session.submit()
        session.back()
        session.show()
        now[0] += 40
        session.amend("odd", True, "seen later")
    close_study(made.folder, incomplete="a test")
    found = load(made.folder, tmp_path / "key.json")
    assert found.amendments == {"R1": 1}
    assert (found.readings[0].answers["odd"], found.readings[0].active_s) == (True, 5)


# --- what is simulated, and exports ----------------------------------------------------------------------------------


def test_one_simulated_patient_among_others_is_told_everywhere(tmp_path):
    made = made_and_read(tmp_path)
    key = json.loads((tmp_path / "key.json").read_text("utf-8"))
    key["simulated"] = ["patient-002"]
    (tmp_path / "key.json").write_text(json.dumps(key), "utf-8")
    found = load(made.folder, tmp_path / "key.json")
    assert found.simulated_cases == 1
    told = analyse_study(made.folder, tmp_path / "key.json", tmp_path / "out", Silent())
    assert told["simulated"]
    assert any(line.startswith("SIMULATED PATIENTS: 1 of 4 cases") for line in told["statements"])
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert "RESEARCH · SIMULATED PATIENTS" in page
    assert "one of them simulated patients" in page
    files = export_study(made.folder, tmp_path / "key.json", tmp_path / "csv", ["long", "imrmc", "redcap"], Silent())
    texts = {path.name: path.read_text("utf-8") for path in files}
    assert all(name.startswith("SIMULATED-") for name in texts)
    assert "SIMULATED PATIENTS: 1 of 4" in texts["SIMULATED-imrmc-grade-single.imrmc"]
    for name in ("answers", "redcap-records"):
        rows = list(csv.DictReader(texts[f"SIMULATED-{name}.csv"].splitlines()))
        assert {row["simulated"] for row in rows} == {"some patients"}


def test_a_study_of_real_patients_says_nothing_of_simulation(tmp_path):
    made = made_and_read(tmp_path)
    files = export_study(made.folder, tmp_path / "key.json", tmp_path / "csv", ["long", "mrmcaov"], Silent())
    assert [path.name for path in files] == ["answers.csv", "codebook.csv", "mrmcaov-grade-single.csv"]
    facts = {"simulated_readers": False, "simulated_cases": 0, "cases": 4}
    assert len(statements(facts)) == 1


def test_mrmcaov_gets_the_complete_cases_and_the_rest_in_a_file_of_its_own():
    study = simulate(3, 20, ratings=1, missing=0.1, turing=False, side_by_side=False)
    files = mrmcaov_files(study)
    complete, every = (list(csv.DictReader(files[f"mrmcaov-grade-single{end}.csv"].splitlines()))
                       for end in ("", "-all"))  # fmt: skip
    (found,) = diagnoses(study)
    whole = np.isfinite(found.scores.values).all(axis=(0, 2))
    assert 0 < whole.sum() < 20
    assert {row["case"] for row in complete} == {c for c, full in zip(found.scores.cases, whole, strict=True) if full}
    assert len(complete) == 6 * whole.sum()
    assert len(every) == np.isfinite(found.scores.values).sum()
    assert len(mrmcaov_files(simulate(3, 20, ratings=1, turing=False, side_by_side=False))) == 1


def test_the_key_of_another_study_is_refused(tmp_path):
    made, other = make_study(tmp_path / "a", 2), make_study(tmp_path / "b", 3)
    assert Key.of(made, tmp_path / "a" / "key.json").study == made.id
    with pytest.raises(InputError, match="does not belong"):
        Key.of(other, tmp_path / "a" / "key.json")
