"""A whole evaluation on small patients: rows, resuming, faults, files."""

import csv
import json
import re

import numpy as np
import pytest

from HierSynthLib.case import Role
from HierSynthLib.errors import Cancelled, InputError, OutputError
from HierSynthLib.progress import Silent
from Testing.evaluation_patients import BallCase, BallModel, flat_descriptors
from Training.evaluation.evaluate import evaluate
from Training.evaluation.output import _remove_old
from Training.evaluation.predictor import Method
from Training.evaluation.run import Evaluation, spacings_of
from Training.evaluation.settings import EvaluationSettings
from Training.evaluation.store import ROWS, Store
from Training.evaluation.subject import measuring_spacing

CASES = tuple(BallCase(n, "high" if n % 2 else "low", tissues=True) for n in range(3))
QUICK = EvaluationSettings(pictures=0, robustness="none")
FEW = EvaluationSettings(pictures=1, robustness="single", robustness_cases=2)


def models(cases=CASES):
    """A model that is right, a noisy one with two trainings, and a smooth one."""
    return [
        Method("right", (BallModel("right", cases=cases, loss_without=0.1),)),
        Method("noisy", tuple(BallModel("noisy", seed, noise=0.4, cases=cases) for seed in (1, 2))),
        Method("smooth", (BallModel("smooth", blur=1.0, cases=cases),)),
    ]


def run(out, cases=CASES, methods=None, settings=FEW, reporter=None, **options):
    """A whole evaluation with all its files."""
    return evaluate(
        cases,
        methods or models(),
        out,
        settings,
        reporter=reporter or Silent(),
        describe_patch=flat_descriptors,
        **({"reference": "noisy"} | options),
    )


def measure(out, cases=CASES, methods=None, settings=FEW, reporter=None):
    """The rows of an evaluation without report and figures."""
    methods = methods or models()
    grid = measuring_spacing(spacings_of(methods), settings)
    evaluation = Evaluation(methods, settings, Store(out, settings, grid), flat_descriptors)
    return evaluation.run(cases, reporter or Silent())


def called(methods):
    return [len(model.calls) for method in methods for model in method.trainings]


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A finished evaluation: its folder and what `evaluate` returned."""
    out = tmp_path_factory.mktemp("evaluation") / "out"
    return out, run(out, command={"models": 3})


# --- what is found ---------------------------------------------------------------------------------------------------


def test_the_right_model_is_right_and_the_others_are_spoiled_as_planted(whole):
    out, _ = whole
    rows = [row for row in rows_of(out / "patients.csv") if not row["without"]]
    assert len(rows) == 3 * 4, "three patients; one, two and one trainings"
    for row in rows:
        if row["method"] == "right":
            assert float(row["roi_ssim"]) == pytest.approx(1, abs=1e-5)
            assert float(row["brain_mae"]) == pytest.approx(0, abs=1e-5)
        if row["method"] == "noisy":
            assert float(row["brain_mae"]) == pytest.approx(0.4 * np.sqrt(2 / np.pi), rel=0.05)
            assert float(row["brain_coverage"]) == pytest.approx(0.7887, abs=0.03)  # P(|N(0, 0.4)| < 0.5)
        if row["method"] == "smooth":
            assert float(row["roi_high_frequency_ratio"]) < 0.8
    assert {row["status"] for row in rows} == {"SYNTHETIC, SIMULATED"}
    assert {row["training"] for row in rows if row["method"] == "noisy"} == {"1", "2"}


def test_missing_sequences_are_measured_in_the_first_training_of_some_cases(whole):
    out, record = whole
    less = [row for row in rows_of(out / "patients.csv") if row["without"]]
    assert len(less) == 2 * 3 * 4, "two patients, three methods, four sequences"
    assert {row["training"] for row in less} == {"1"}
    cost = {(e["method"], *e["without"]): e["cost"]["value"] for e in record["robustness"]}
    assert cost["right", "ADC"] > 0.001
    assert cost["smooth", "ADC"] == pytest.approx(0, abs=1e-9)


def test_every_case_is_loaded_once_for_all_models(tmp_path):
    loaded = []

    class Counted(BallCase):
        def load(self, target, reporter):
            loaded.append(self.id)
            return super().load(target, reporter)

    measure(tmp_path / "out", cases=[Counted(n, tissues=True) for n in range(2)])
    assert loaded == ["ball-0", "ball-1"]


def test_models_on_other_grids_are_measured_on_the_finest(tmp_path):
    """A model at twice the voxel size loses the fine structure; both are measured on the same voxels."""

    class Coarse(BallModel):
        def predict(self, sequences, brain, reporter):
            from HierSynthLib.preparation import resample
            from Testing.evaluation_patients import cbv_of

            number = self.cases[0].number
            shape = brain.shape
            affine = np.diag([4.0, 4.0, 4.0, 1.0])
            affine[:3, 3] = 1.0
            values = resample(cbv_of(number), np.diag([2.0, 2.0, 2.0, 1.0]), shape, affine)
            return BallModel.predict_of(values, brain)

    case = CASES[1]
    coarse = Coarse("coarse", spacing_mm=(4.0, 4.0, 4.0), cases=(case,))
    fine = BallModel("fine", cases=(case,))
    found = measure(tmp_path / "out", [case], [Method("fine", (fine,)), Method("coarse", (coarse,))])
    values = {method: row.values for (_, method, _), row in found.rows.items()}
    assert found.facts[case.id].curves["facts"]["nyquist_per_mm"] == pytest.approx(0.25), "2 mm"
    assert values["fine"]["brain_ssim"] == pytest.approx(1, abs=1e-5)
    assert 0.4 < values["coarse"]["brain_pearson_r"] < 0.99
    assert values["coarse"]["brain_high_frequency_ratio"] < 0.8
    assert abs(values["coarse"]["brain_bias"]) < 0.1, "in its place, and not darker at the rim"


def test_models_that_read_other_sequences_get_theirs(tmp_path):
    two = BallModel("two", sequences=(Role.T1, Role.FLAIR), cases=CASES)
    four = BallModel("four", cases=CASES)
    found = measure(tmp_path / "out", methods=[Method("two", (two,)), Method("four", (four,))])
    assert {count for _, count in two.calls} == {2, 1}
    assert {count for _, count in four.calls} == {4, 3}
    assert {row.without for row in found.less["ball-1", "two"]} == {("T1",), ("FLAIR",)}


def test_a_model_is_left_out_of_a_case_that_has_none_of_its_sequences(tmp_path):
    cases = [BallCase(0, roles=(Role.T1, Role.T2)), BallCase(1)]
    flair = BallModel("flair", sequences=(Role.FLAIR,), cases=cases)
    other = BallModel("other", cases=cases)
    found = measure(tmp_path / "out", cases, [Method("flair", (flair,)), Method("other", (other,))])
    (left_out,) = found.excluded
    assert (left_out["id"], left_out["model"]) == ("ball-0", "flair")
    assert "FLAIR" in left_out["reason"]
    assert set(found.rows) == {("ball-0", "other", 0), ("ball-1", "flair", 0), ("ball-1", "other", 0)}


# --- going on --------------------------------------------------------------------------------------------------------


class StopAfter:
    """Cancels at the n-th report of a synthesis."""

    def __init__(self, count):
        self.left = count

    def progress(self, stage, fraction):
        if stage == "synthesis":
            self.left -= 1
            if self.left < 0:
                raise Cancelled

    def warning(self, message):
        pass


def _without_times(out):
    rows = rows_of(out / "patients.csv")
    for row in rows:
        row.pop("seconds")
    return rows


def test_a_stopped_evaluation_goes_on_and_ends_like_an_uninterrupted_one(whole, tmp_path):
    out = tmp_path / "out"
    for stop in (0, 5, 9):
        with pytest.raises(Cancelled):
            run(out, reporter=StopAfter(stop))
    assert not (out / "report.html").exists()
    written = len(list((out / ROWS).glob("*.json")))
    methods = models()
    record = run(out, methods=methods, command={"models": 3})
    finished, expected = whole
    assert _without_times(out) == _without_times(finished)
    assert (out / "summary.csv").read_text() == (finished / "summary.csv").read_text()
    for part in ("means", "differences", "decisions", "robustness", "calibration", "spectrum", "examinations"):
        assert record[part] == expected[part], part
    assert 0 < sum(called(methods)) <= 36 - (written - 2), "what was measured is not measured again"
    assert not [path for path in out.rglob("*") if path.name.startswith(".")]


def test_a_finished_evaluation_needs_no_model(whole):
    out, _ = whole
    methods = models()
    found = measure(out, methods=methods)
    assert called(methods) == [0, 0, 0, 0]
    assert len(found.rows) == 12


def test_a_further_model_is_added_without_measuring_the_others_again(tmp_path):
    measure(tmp_path / "out", methods=models()[:2], settings=QUICK)
    again = models()
    found = measure(tmp_path / "out", methods=again, settings=QUICK)
    assert called(again) == [0, 0, 0, 3]
    assert len(found.rows) == 12


def test_a_picture_that_is_missing_is_made_again(tmp_path):
    measure(tmp_path / "out", settings=QUICK)
    methods = models()
    found = measure(tmp_path / "out", methods=methods, settings=EvaluationSettings(pictures=1, robustness="none"))
    assert called(methods) == [1, 1, 0, 1], "first training of each method, first case"
    assert found.pictured == ["ball-0"]


def test_other_settings_do_not_take_the_old_rows(tmp_path):
    first = measure(tmp_path / "out", settings=QUICK)
    methods = models()
    again = measure(
        tmp_path / "out", methods=methods, settings=EvaluationSettings(data_range=3.0, pictures=0, robustness="none")
    )
    assert called(methods) == [3, 3, 3, 3]
    key = ("ball-1", "noisy", 0)
    assert again.rows[key].values["brain_nrmse"] == pytest.approx(2 * first.rows[key].values["brain_nrmse"])


# --- faults ----------------------------------------------------------------------------------------------------------


def test_cases_are_left_out_in_words_and_no_name_reaches_a_file(tmp_path):
    """With names of methods that a spreadsheet, a formula or a page could misunderstand."""
    bad = BallCase(7, fault="The case of Jane Doe has no CBV_true or CBV_acquired to compare with.")
    odd = [Method("=1+1", (BallModel("odd", cases=CASES),)), Method("$x$ & <b>", (BallModel("b", cases=CASES),))]
    reporter, out = Silent(), tmp_path / "out"
    record = run(out, [bad, *CASES[:2]], odd, QUICK, reporter, reference=None)
    (left_out,) = record["excluded"]
    assert left_out["id"] == "ball-7"
    assert left_out["reason"].startswith("The case of (case) has no CBV_true")
    assert (record["patients"], len(record["examinations"])) == (2, 2)
    assert [text for text in reporter.warnings if "ball-7 is left out" in text]
    texts = [path.read_text("utf-8") for path in out.rglob("*") if path.suffix in (".json", ".csv", ".html", ".md")]
    assert len(texts) > 8
    assert not [text for text in texts if "Jane Doe" in text], "nor in the warnings of a case"
    assert {row["method"] for row in rows_of(out / "patients.csv")} == {"'=1+1", "$x$ & <b>"}
    assert "$x$ &amp; &lt;b&gt;" in (out / "report.html").read_text("utf-8")


def test_figures_of_an_earlier_run_do_not_stay_but_the_users_files_do(tmp_path):
    figures = tmp_path / "figures"
    figures.mkdir()
    for name in ("maps-07.png", "grading.svg", "mine.png", "maps-old.png"):
        (figures / name).write_text("")
    _remove_old(figures, {"maps-01"})
    assert sorted(path.name for path in figures.iterdir()) == ["maps-old.png", "mine.png"]


def test_not_a_single_case_is_an_error(tmp_path):
    with pytest.raises(InputError, match=r"None of 2 cases could be measured\. ball-7: No target"):
        measure(tmp_path / "out", [BallCase(7, fault="No target."), BallCase(8, fault="No target.")])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"cases": []}, "There is no case"),
        ({"cases": [BallCase(1), BallCase(1)]}, "'ball-1' stands there twice"),
        ({"reference": "wrong"}, "'wrong' is none of the models"),
    ],
)
def test_wrong_orders_are_refused_before_anything_is_written(tmp_path, options, words):
    with pytest.raises(InputError, match=words):
        run(tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_a_folder_with_something_else_in_it_is_not_touched(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(OutputError, match="holds something else"):
        run(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_damaged_row_is_named(tmp_path):
    measure(tmp_path / "out", settings=QUICK)
    path = sorted((tmp_path / "out" / ROWS).glob("*.json"))[0]
    path.write_text("{")
    (left_out,) = measure(tmp_path / "out", settings=QUICK).excluded
    assert path.name in left_out["reason"]
    assert "is damaged" in left_out["reason"]


@pytest.mark.parametrize(
    "settings",
    [
        {"target": "wrong"},
        {"robustness": "some"},
        {"data_range": 0.0},
        {"ceiling": -1.0},
        {"spacing_mm": 0.1},
        {"patch": 2},
    ],
)
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(InputError):
        EvaluationSettings(**settings)


# --- files -----------------------------------------------------------------------------------------------------------


def test_the_record_states_definitions_versions_hashes_and_command(whole):
    out, _ = whole
    record = json.loads((out / "evaluation.json").read_text("utf-8"))
    assert record["simulated"] is True
    assert record["command"] == {"models": 3}
    assert record["versions"]["numpy"] == np.__version__
    assert [e["key"] for e in record["examinations"]] == [case.key() for case in CASES]
    assert record["methods"][1]["trainings"][1]["key"].startswith("noisy-2")
    defined = {each["id"] for each in record["definitions"]}
    assert {entry["column"] for entry in record["means"]} == defined
    assert all(each["formula"] for each in record["definitions"])


def test_the_report_is_one_file_headed_simulated_brains(whole):
    out, _ = whole
    page = (out / "report.html").read_text("utf-8")
    assert "SIMULATED BRAINS" in page
    assert not re.search(r"""(src|href)=["'](?!data:)""", page), "nothing from the network or the disk"
    assert page.count("data:image/png;base64,") == 5, "maps, differences, calibration, spectrum, robustness"
    for words in ("right", "noisy", "smooth", "High-frequency SD ratio", "Lin&#x27;s concordance", "Loss of ROI SSIM"):
        assert words in page
    assert "<script" not in page


def test_the_figures_are_there_in_both_formats(whole):
    out, _ = whole
    names = {path.name for path in (out / "figures").iterdir()}
    stems = ("maps-01", "differences", "calibration", "spectrum", "robustness")
    assert names == {f"{stem}.{kind}" for stem in stems for kind in ("png", "svg")}
    assert "SIMULATED" in (out / "figures" / "maps-01.svg").read_text("utf-8")


def test_the_table_for_documents_has_a_line_per_method(whole):
    out, record = whole
    lines = (out / "table.md").read_text("utf-8").splitlines()
    assert lines[0].startswith("**SIMULATED BRAINS")
    head = next(line for line in lines if line.startswith("| method | trainings | ROI SSIM ↑ |"))
    table = [line for line in lines if line.count("|") == head.count("|")]
    assert [line.split("|")[1].strip() for line in table[2:]] == ["right", "noisy", "smooth"]
    assert table[2].split("|")[3].strip() == "1.000"
    assert [line.split("|")[2].strip() for line in table[2:]] == ["1", "2", "1"]
    assert "±" in table[3].split("|")[3], "the spread of two trainings"
    assert "| method | T1 | T2 | FLAIR | ADC |" in lines, "missing sequences"
    assert "models: 3" not in lines[-1]
    assert record["table"].endswith("table.md")


def test_two_examinations_of_a_patient_are_one_patient_in_every_file(tmp_path):
    cases = [BallCase(n, "high", person="person A" if n < 2 else "") for n in range(3)]
    record = run(
        tmp_path / "out", cases, [Method("m", (BallModel("m", noise=0.3, cases=cases),))], QUICK, reference=None
    )
    means = {entry["column"]: entry["mean"] for entry in record["means"]}
    assert {means[name]["n"] for name in ("roi_ssim", "brain_mae", "roi_descriptor_error")} == {2}
    rows = rows_of(tmp_path / "out" / "patients.csv")
    assert [row["patient"] for row in rows] == ["person A", "person A", "ball-2"]
    mae = [float(row["brain_mae"]) for row in rows]
    assert means["brain_mae"]["value"] == pytest.approx(((mae[0] + mae[1]) / 2 + mae[2]) / 2)
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert "2 patients (3 examinations)" in page
    assert "2 patients (3 examinations)" in (tmp_path / "out" / "table.md").read_text("utf-8")
