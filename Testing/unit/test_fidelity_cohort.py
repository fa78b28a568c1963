"""Collecting patients, and what is said of a cohort."""

import csv
import json
import math

import numpy as np
import pytest
from scipy import stats

from HierSynthLib.errors import InputError
from HierSynthLib.fidelity.cohort.cohort import Values, high_or_low, read_grades, summarise
from HierSynthLib.fidelity.cohort.output import describe_cohort, write_cohort
from HierSynthLib.fidelity.cohort.plots import agreement_figure, fidelity_figure, roc_figure
from HierSynthLib.fidelity.cohort.report import summary_sentences
from HierSynthLib.fidelity.report.plots import save_figure
from HierSynthLib.progress import Silent
from Testing.hand_made_fidelity import hand_made_measurement, hand_made_record

RNG = np.random.default_rng(11)
PATIENTS = 12
ACQUIRED = RNG.uniform(2, 8, PATIENTS)
GOOD, POOR = ACQUIRED + RNG.normal(0.2, 0.3, PATIENTS), ACQUIRED * 0.6 + RNG.normal(0, 0.3, PATIENTS)
GRADES = ["high" if value > 5 else "low" for value in ACQUIRED + RNG.normal(0, 1.5, PATIENTS)]


@pytest.fixture
def records():
    return [
        hand_made_record(
            case=f"p{number}",
            simulated=True,
            grade=GRADES[number],
            measurement=hand_made_measurement(
                {"good": GOOD[number], "poor": POOR[number]}, {"acquired": ACQUIRED[number]}, ssim=0.7 + 0.01 * number
            ),
        )
        for number in range(PATIENTS)
    ]


@pytest.fixture
def cohort(records):
    return summarise(records, {}, [{"id": "p99", "reason": "CBV_synthetic.nii is missing."}])


def found(entries, **fields):
    """The only entry with these fields."""
    (one,) = [entry for entry in entries if all(entry[name] == value for name, value in fields.items())]
    return one


# --- collecting ------------------------------------------------------------------------------------------------------


def test_the_primary_region_is_the_whole_lesion_in_every_patient():
    """One patient's lesion is a single label, the other's has parts."""
    one = hand_made_measurement({"synthetic": 3.0}, regions=(("Tumour", "lesion"), ("Whole brain", "brain")))
    other = hand_made_measurement({"synthetic": 4.0}, regions=(("Whole lesion", "lesion"), ("Core", "lesion")))
    values = Values([one, other])
    assert values.of("Whole lesion", "mean", "synthetic") == [3.0, 4.0]
    assert values.of("Tumour", "mean", "synthetic") == [3.0, None]
    assert values.of("Core", "mean", "synthetic") == [None, 4.0]
    assert values.of("Whole brain", "ssim", "synthetic", "acquired") == [0.8, None]
    assert values.of("Core", "mean", "no such map") == [None, None]
    assert values.regions == ["Whole lesion", "Tumour", "Whole brain", "Core"]
    assert values.pairs == [("synthetic", "acquired")]


def test_hotspots_and_references_are_no_regions_of_a_cohort(cohort):
    assert {entry["region"] for entry in cohort["fidelity"]} == {"Whole lesion", "Tumour"}


# --- statistics ------------------------------------------------------------------------------------------------------


def test_means_are_over_patients(cohort):
    entry = found(cohort["fidelity"], region="Whole lesion", synthetic="good", measure="bias")
    assert entry["mean"]["value"] == pytest.approx(np.mean(GOOD - ACQUIRED))
    assert entry["sd"] == pytest.approx(np.std(GOOD - ACQUIRED, ddof=1))
    assert entry["mean"]["low"] < entry["mean"]["value"] < entry["mean"]["high"]
    assert entry["mean"]["n"] == PATIENTS


def test_agreement_is_that_of_the_patients_values(cohort):
    entry = found(cohort["agreement"], region="Whole lesion", synthetic="poor", measure="hotspot_mean")
    assert entry["synthetic_values"] == pytest.approx(POOR + 0.5)
    assert entry["pearson"]["value"] == pytest.approx(np.corrcoef(POOR, ACQUIRED)[0, 1])
    assert entry["bland_altman"]["bias"]["value"] == pytest.approx(np.mean(POOR - ACQUIRED))
    assert (
        found(cohort["agreement"], region="Whole lesion", synthetic="good", measure="hotspot_mean")["icc"]["value"]
        > (entry["icc"]["value"])
    )


def test_tests_are_adjusted_for_all_of_the_table(cohort):
    tests = cohort["tests"]
    assert {test["region"] for test in tests} == {"Whole lesion"}
    between = found(tests, measure="mae", first="good", second="poor", against="acquired")
    assert between["p"] == pytest.approx(stats.wilcoxon(np.abs(GOOD - ACQUIRED), np.abs(POOR - ACQUIRED)).pvalue)
    known = [test for test in tests if test["p"] is not None]
    assert {test["tests"] for test in tests} == {len(known)}
    smallest = min(known, key=lambda test: test["p"])
    assert smallest["p_holm"] == pytest.approx(min(1, smallest["p"] * len(known)))
    equal = found(tests, measure="ssim", first="good", second="poor")  # the same in both maps
    assert equal["p"] is None
    assert equal["p_holm"] is None
    assert "too few" in equal["note"]


def test_grading_and_threshold(cohort):
    curve = found(cohort["grading"]["curves"], map="acquired", measure="mean")
    high = np.array(GRADES) == "high"
    wins = np.mean([a > b for a in ACQUIRED[high] for b in ACQUIRED[~high]])
    assert curve["auc"]["value"] == pytest.approx(wins)
    assert (curve["high"], curve["low"]) == (high.sum(), (~high).sum())
    assert found(cohort["grading"]["tests"], synthetic="good", measure="mean")["n"] == PATIENTS
    kappa = found(cohort["threshold"], synthetic="poor")
    assert kappa["counts"]["first"] == np.sum((POOR + 0.5 >= 1.75) & (ACQUIRED + 0.5 < 1.75))


def test_patients_without_a_grade_are_not_graded(records):
    for record in records:
        record["grade"] = None
    assert summarise(records, {}, [])["grading"] is None
    some = summarise(records, {"p0": "high", "p1": "2", "p77": "low"}, [])
    assert some["grading"]["curves"][0]["high"] == 1
    assert "too few for an ROC curve" in some["grading"]["curves"][0]["auc"]["note"]
    assert [patient["grade"] for patient in some["patients"]][:3] == ["high", "low", None]
    assert "The grades name 1 patient that was not measured." in some["warnings"]
    assert "p77" not in json.dumps(some)  # it may be a patient's name


@pytest.mark.parametrize("patients", [1, 2, 4])
def test_few_patients_give_sentences(records, patients):
    cohort = summarise(records[:patients], {}, [])
    for entry in cohort["agreement"]:
        assert entry["icc"]["value"] is None
        assert "too few" in entry["icc"]["note"]
        assert entry["bland_altman"]["bias"]["value"] is None
    assert all(test["p"] is None and "too few" in test["note"] for test in cohort["tests"])
    assert all(entry["mean"]["low"] is None for entry in cohort["fidelity"])
    assert all("too few" in entry["kappa"]["note"] for entry in cohort["threshold"])


def test_simulated_and_real_patients_together_are_warned_of(records):
    records[0]["simulated"] = False
    assert "11 of 12 patients are simulated" in summarise(records, {}, [])["warnings"][0]


# --- grades ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("grade", "meaning"),
    [("high", "high"), ("HGG", "high"), ("4", "high"), ("WHO grade III", "high"), ("low", "low"), (" 2 ", "low"),
     ("none", None), ("", None), (None, None), ("5", None)],
)  # fmt: skip
def test_grades_in_words_and_numbers(grade, meaning):
    assert high_or_low(grade) == meaning


def test_grades_from_a_file(tmp_path):
    path = tmp_path / "grades.csv"
    path.write_text("\ufeffid,age,grade\np1,60, high\np2,50,2\n", encoding="utf-8")
    assert read_grades(path) == {"p1": "high", "p2": "2"}


@pytest.mark.parametrize(
    ("text", "said"),
    [("name,grade\nx,high\n", "lacks the columns"), ("id,grade\np1,high\np1,low\n", "'p1' stands there twice"),
     ("id,grade\np1,five\n", "line 2: the grade 'five'"), ("id,grade\np1\n", "line 2"), ("", "lacks the columns")],
)  # fmt: skip
def test_bad_grades(tmp_path, text, said):
    path = tmp_path / "grades.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=said):
        read_grades(path)


def test_grades_that_are_no_text(tmp_path):
    (tmp_path / "grades.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="cannot be read"):
        read_grades(tmp_path / "grades.csv")


# --- output ----------------------------------------------------------------------------------------------------------


def test_what_is_written(tmp_path, records):
    cohort = describe_cohort(records, {}, [{"id": "p99", "reason": "<b>CBV</b> is missing."}])
    write_cohort(tmp_path, cohort, records, Silent())
    report = (tmp_path / "report.html").read_text("utf-8")
    for said in (
        "SYNTHETIC · SIMULATED",
        "no evidence of clinical fidelity",
        "12 patients measured, 12 of them simulated; 1 could not be measured.",
        "&lt;b&gt;CBV&lt;/b&gt; is missing.",
        "ICC(2,1)",
        "p (Holm)",
        "DeLong",
        "as their files say (12)",
    ):
        assert said in report
    assert {path.name for path in tmp_path.iterdir()} == {"cohort.csv", "cohort.json", "figures", "report.html"}
    names = {path.name for path in (tmp_path / "figures").iterdir()}
    assert {"fidelity-per-patient.png", "roc-mean.png"} <= names
    assert len([name for name in names if name.startswith("agreement-")]) == 4  # two maps, PNG and SVG
    lines = (tmp_path / "cohort.csv").read_text("utf-8").splitlines()
    assert {line.split(",")[0] for line in lines[1:]} == {f"p{number}" for number in range(PATIENTS)}


def test_the_whole_lesion_of_a_single_label_stands_in_the_table(tmp_path, records):
    cohort = describe_cohort(records, {}, [])
    write_cohort(tmp_path, cohort, records, Silent())
    with (tmp_path / "cohort.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["region"] for row in rows} == {"Whole lesion", "Tumour", "Hotspot 1 (synthetic)"}
    biases = [
        float(row["value"])
        for row in rows
        if (row["region"], row["map"], row["measure"]) == ("Whole lesion", "good", "bias")
    ]
    entry = found(cohort["fidelity"], region="Whole lesion", synthetic="good", measure="bias")
    assert np.mean(biases) == pytest.approx(entry["mean"]["value"], abs=1e-5)


@pytest.mark.parametrize("simulated", [False, True])
def test_a_cohort_without_any_region_is_written_too(tmp_path, simulated):
    records = [
        hand_made_record(case=f"p{number}", simulated=simulated, measurement=hand_made_measurement(regions=()))
        for number in range(3)
    ]
    cohort = describe_cohort(records, {}, [])
    write_cohort(tmp_path, cohort, records, Silent())
    assert summary_sentences(cohort)[0].startswith("There is no region to measure")
    assert "There is no region to measure" in (tmp_path / "report.html").read_text("utf-8")


def test_a_dollar_in_a_name_is_no_formula(tmp_path, cohort):
    name = r"a $\frac$ b"
    entry = cohort["agreement"][0] | {"synthetic": name}
    curve = cohort["grading"]["curves"][0] | {"map": name}
    figures = (
        fidelity_figure(name, {"ssim": {name: [0.5, 0.6]}}, {}, "x"),
        agreement_figure(name, entry, "x"),
        roc_figure(name, [curve], "x"),
    )
    for number, figure in enumerate(figures):
        paths = save_figure(figure, tmp_path / f"{number}")
        assert name in paths["svg"].read_text("utf-8")


def test_a_cohort_without_acquired_maps_is_written_too(tmp_path):
    records = [
        hand_made_record(case=f"p{number}", measurement=hand_made_measurement({"synthetic": 2.0}, {}))
        for number in range(3)
    ]
    cohort = describe_cohort(records, {}, [])
    write_cohort(tmp_path, cohort, records, Silent())
    assert "nothing to compare" in summary_sentences(cohort)[0]
    assert not (tmp_path / "figures").exists()
    assert math.isclose(cohort["intensity"][0]["mean"]["value"], 2.0)
