"""`hiersynth fidelity`: one patient and a cohort, with the real worker; and what it says to bad input."""

import csv
import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from HierSynthLib.case.finding import find_cases
from HierSynthLib.cli import main
from HierSynthLib.commands import jobs
from HierSynthLib.commands.cohort import resolve_pattern
from HierSynthLib.commands.terminal import Display
from HierSynthLib.errors import InputError
from HierSynthLib.fidelity.cohort import output as cohort_output
from HierSynthLib.fidelity.report import output as case_output
from HierSynthLib.volume import Volume, read_volume, write_volume
from HierSynthLib.worker.client import WorkerClient
from Testing.hand_made_fidelity import write_synthesis, write_tiny_case

QUICK = ["--no-texture", "--hotspots", "1"]


@pytest.fixture
def tiny_case(tmp_path):
    return write_tiny_case(tmp_path / "p1")


@pytest.fixture
def undrawn(monkeypatch):
    """Let figures be one pixel large: drawing them takes most of the time, and other tests look at them."""

    def save_figure(figure, stem):
        stem.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (1, 1)).save(stem.with_name(f"{stem.name}.png"))
        return {"png": stem.with_name(f"{stem.name}.png")}

    for module in (case_output, cohort_output):
        monkeypatch.setattr(module, "save_figure", save_figure)


@pytest.fixture
def no_worker(monkeypatch):
    def start(**_):
        raise AssertionError("a worker was started")

    monkeypatch.setattr(jobs, "WorkerClient", start)


@pytest.fixture
def no_jobs(monkeypatch):
    """A worker may start early, but gets no job."""

    def submit(self, kind, parameters):
        raise AssertionError(f"the job {kind} was given")

    monkeypatch.setattr(WorkerClient, "submit", submit)
    monkeypatch.setattr(WorkerClient, "start", lambda self: None)


def run(*arguments):
    return main(["fidelity", *map(str, arguments)])


def contents(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


# --- one patient -----------------------------------------------------------------------------------------------------


def test_a_patient_from_maps_to_report(capsys, tiny_case, tmp_path):
    maps = write_synthesis(tmp_path / "maps", tiny_case)
    out = tmp_path / "out"
    assert run(tiny_case, "--synthetic", maps, "--out", out, "--threshold", "2.5", *QUICK) == 0
    printed, told = capsys.readouterr()
    assert printed.splitlines()[0].startswith("Whole lesion: Synthetic ")
    assert str(out / "report.html") in printed
    assert "SYNTHETIC" in printed
    assert "fidelity: done, 100%" in told

    record = json.loads((out / "fidelity.json").read_text("utf-8"))
    assert (record["case"], record["simulated"]) == ("p1", False)
    assert record["provenance"]["synthetic"]["model"]["name"] == "tiny"
    assert set(record["files"]) == {"synthetic", "acquired", "T1", "label map", "brain mask"}
    assert record["measurement"]["reference"]["source"] == "label 4 (NAWM reference) of the label map"
    assert not [path for path in (str(tiny_case), str(tmp_path)) if path in json.dumps(record)]

    with (out / "fidelity.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    values = {(row["region"], row["map"], row["compared_with"], row["measure"]): row["value"] for row in rows}
    acquired, synthetic, roi = (
        read_volume(path).array
        for path in (tiny_case / "CBV_acquired.nii", maps / "CBV_synthetic.nii", tiny_case / "ROI.nii")
    )
    for region, inside in {"enhancing": roi == 1, "Whole lesion": (roi == 1) | (roi == 2)}.items():
        assert float(values[region, "acquired", "", "mean"]) == pytest.approx(acquired[inside].mean(), rel=1e-4)
        difference = synthetic[inside].astype(float) - acquired[inside]
        assert float(values[region, "synthetic", "acquired", "mae"]) == pytest.approx(abs(difference).mean(), rel=1e-4)
        assert float(values[region, "synthetic", "", "fraction_above_2.5"]) == pytest.approx(
            np.mean(synthetic[inside] > 2.5), abs=1e-6
        )

    spots = record["hotspots"]
    assert {spot["found_on"] for spot in spots} == {"synthetic", "acquired"}
    assert {entry["region"] for entry in record["audit"]} == {"NAWM reference", *(spot["region"] for spot in spots)}
    report = (out / "report.html").read_text("utf-8")
    for said in (*[spot["region"] for spot in spots], "tiny 1.0", "label 4 (NAWM reference)", record["files"]["T1"]):
        assert said in report
    figures = contents(out / "figures")
    assert {"slice-lesion-synthetic.png", "slice-hotspot-synthetic.svg", "slice-reference-synthetic.png"} <= figures
    assert "plots-01-whole-lesion-synthetic-acquired.svg" in figures


def test_several_maps_without_acquired_map_or_labels(capsys, undrawn, tiny_case, tmp_path):
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "T1.nii").write_bytes((tiny_case / "T1.nii").read_bytes())
    names = [
        "--synthetic",
        f"one={tiny_case / 'synthetic.nii'}",
        "--synthetic",
        f"two={tiny_case / 'CBV_acquired.nii'}",
    ]
    out = tmp_path / "out"
    options = ["--roi", tiny_case / "ROI.nii", "--reference", "4", "--no-texture", "--hotspots", "0", "--json"]
    assert run(bare, *names, "--out", out, *options) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["sentences"] == []
    assert any("no acquired map" in warning for warning in result["warnings"])
    measurement = json.loads(Path(result["json"]).read_text("utf-8"))["measurement"]
    assert measurement["agreement"] == []
    assert {region["name"] for region in measurement["regions"]} >= {"Whole lesion", "label 1", "label 2"}
    assert {each["name"] for each in measurement["maps"]} == {"one", "two", "T1"}


def test_a_map_that_is_not_normalised_is_offered_and_normalised_when_asked(capsys, undrawn, tiny_case, tmp_path):
    acquired = read_volume(tiny_case / "CBV_acquired.nii")
    write_volume(Volume(acquired.array * 40, acquired.affine), tmp_path / "raw.nii")
    options = [
        tiny_case,
        "--synthetic",
        tiny_case / "synthetic.nii",
        "--acquired",
        tmp_path / "raw.nii",
        "--also",
        "none",
    ]
    options += ["--json", "--no-texture", "--hotspots", "0"]
    assert run(*options, "--out", tmp_path / "a") == 0
    result = json.loads(capsys.readouterr().out)
    assert any("--normalise-acquired" in warning for warning in result["warnings"])
    assert run(*options, "--out", tmp_path / "b", "--normalise-acquired") == 0
    result = json.loads(capsys.readouterr().out)
    assert not any("--normalise-acquired divides" in warning for warning in result["warnings"])
    measured = json.loads(Path(result["json"]).read_text("utf-8"))["measurement"]
    (row,) = [e for e in measured["intensity"] if (e["region"], e["map"]) == ("enhancing", "acquired")]
    inside = read_volume(tiny_case / "ROI.nii").array
    expected = acquired.array[inside == 1].mean() / acquired.array[inside == 4].mean()
    assert row["values"]["mean"] == pytest.approx(expected, rel=1e-3)


def test_ctrl_c_leaves_nothing(capsys, undrawn, monkeypatch, tiny_case, tmp_path):
    pressed = []

    def show_progress(display, stage, fraction, original=Display.progress):
        original(display, stage, fraction)
        if stage == "pictures" and not pressed:
            pressed.append(stage)
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Display, "progress", show_progress)
    before = contents(tmp_path)
    arguments = ["--synthetic", tiny_case / "synthetic.nii", "--out", tmp_path / "out", "--also", "none", *QUICK]
    assert run(tiny_case, *arguments) == 130
    assert pressed
    assert contents(tmp_path) == before
    assert not (tmp_path / "out").exists()


# --- a cohort --------------------------------------------------------------------------------------------------------


def test_a_cohort_goes_on_without_the_cases_that_cannot_be_measured(capsys, undrawn, tmp_path):
    cohort = tmp_path / "cohort"
    for number in range(4):
        grade = {"grade": "high" if number % 2 else "low"}
        write_tiny_case(cohort / f"p{number}", seed=number, simulated=True, facts=grade)
    (cohort / "p1" / "synthetic.nii").unlink()
    (cohort / "p2" / "CBV_acquired.nii").write_bytes(b"damaged")
    (cohort / "notes").mkdir()
    out = tmp_path / "out"
    arguments = ["--synthetic", "synthetic.nii", "--out", out, "--also", "none", "--json", "--per-case-reports", *QUICK]
    assert run(cohort, *arguments) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["measured"] == ["p0", "p3"]
    assert [each["id"] for each in result["excluded"]] == ["p1", "p2"]
    assert str(tmp_path) not in json.dumps(result["excluded"])
    assert "too few" in result["sentences"][0]
    assert result["simulated"]

    found = json.loads((out / "cohort.json").read_text("utf-8"))
    assert [patient["grade"] for patient in found["patients"]] == ["low", "high"]
    assert contents(out) >= {"cohort.csv", "report.html", "cases/p3/report.html", "cases/p3/fidelity.csv"}
    report = (out / "report.html").read_text("utf-8")
    assert "SYNTHETIC · SIMULATED" in report
    assert "CBV_acquired.nii" in report  # why a case was left out
    with (out / "cohort.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    own = (out / "cases" / "p3" / "fidelity.csv").read_text("utf-8").splitlines()
    assert len([row for row in rows if row["case"] == "p3"]) == len(own) - 1


def test_names_of_folders_stay_out_of_a_cohort(capsys, undrawn, tmp_path):
    """Of four patients, one has no synthetic map, one a damaged acquired one, and one a case.json that is no JSON."""
    cohort, out = tmp_path / "cohort", tmp_path / "out"
    for number, name in enumerate(("Adler_Anna", "Mueller_Hans", "Schmidt_Eva", "Weber_Ida")):
        write_tiny_case(cohort / name, seed=number, id=f"p{number}")
    (cohort / "Schmidt_Eva" / "CBV_acquired.nii").write_bytes(b"damaged")
    (cohort / "Weber_Ida" / "case.json").write_text("{")
    arguments = ["--synthetic", f"{tmp_path}/{{id}}.nii", "--out", out, "--also", "none", "--json", *QUICK]
    for number in (1, 2):
        (tmp_path / f"p{number}.nii").write_bytes((cohort / "Mueller_Hans" / "synthetic.nii").read_bytes())
    (tmp_path / "grades.csv").write_text("id,grade\np1,high\nAdler_Anna,low\n")
    assert run(cohort, *arguments, "--grades", tmp_path / "grades.csv") == 0
    printed = capsys.readouterr()
    result = json.loads(printed.out)
    assert result["measured"] == ["p1"]
    assert [each["id"] for each in result["excluded"]] == ["p0", "p2", "case 4"]
    texts = [path.read_text("utf-8") for path in out.rglob("*") if path.is_file() and path.suffix != ".png"]
    everything = "".join([*texts, printed.err])
    for name in ("Adler", "Mueller", "Schmidt", "Weber"):
        assert name not in everything
        assert name not in json.dumps(result["excluded"])


def test_cases_without_case_json_get_neutral_names(capsys, undrawn, tmp_path):
    cohort, out = tmp_path / "cohort", tmp_path / "out"
    for number, name in enumerate(("Mueller_Hans", "Schmidt_Eva", "Weber_Ida")):
        folder = write_tiny_case(cohort / name, seed=number)
        write_synthesis(folder / "maps", folder)
        (folder / "case.json").unlink()
        (folder / "synthetic.nii").unlink()
    (cohort / "Weber_Ida" / "maps" / "CBV_synthetic.nii").unlink()
    (tmp_path / "grades.csv").write_text("id,grade\nMueller_Hans,high\n")
    pattern = f"{cohort}/{{id}}/maps"
    options = ["--also", "none", "--json", *QUICK]
    given = ["--per-case-reports", "--grades", tmp_path / "grades.csv"]
    assert run(cohort, "--synthetic", pattern, "--out", out, *given, *options) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["measured"] == ["case 1", "case 2"]
    assert [each["id"] for each in result["excluded"]] == ["case 3"]
    found = json.loads((out / "cohort.json").read_text("utf-8"))
    assert [patient["grade"] for patient in found["patients"]] == ["high", None]
    assert (out / "cases" / "case-1" / "report.html").exists()

    alone = tmp_path / "alone"
    folder = cohort / "Mueller_Hans"
    assert run(folder, "--synthetic", folder / "maps", "--out", alone, *options) == 0
    assert json.loads((alone / "fidelity.json").read_text("utf-8"))["case"] == "case"
    for path in (*out.rglob("*"), *alone.rglob("*")):
        text = path.name + (path.read_text("utf-8") if path.is_file() and path.suffix != ".png" else "")
        assert not [name for name in ("Mueller", "Schmidt", "Weber") if name in text]


def test_a_cohort_of_which_nothing_can_be_measured(capsys, tmp_path):
    write_tiny_case(tmp_path / "cohort" / "p1")
    assert run(tmp_path / "cohort", "--synthetic", "maps/{id}.nii", "--out", tmp_path / "out") == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert "None of 1 cases could be measured. p1: Synthetic map 'synthetic': " in line
    assert not (tmp_path / "out").exists()


def test_cases_are_found_by_case_json_or_by_the_names_of_their_files(tmp_path):
    case = write_tiny_case(tmp_path / "described" / "p1")
    assert find_cases(case) is None
    assert find_cases(tmp_path / "described") == [case]
    (case / "case.json").unlink()
    for name in ("ROI", "CBV_acquired", "brain_mask"):
        (case / f"{name}.nii").unlink()
    assert find_cases(case) is None
    assert find_cases(tmp_path / "described") == [case]
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="neither a case nor a folder of cases"):
        find_cases(tmp_path / "empty")


def test_patterns():
    folder = Path("cohort/p1")
    assert resolve_pattern("maps/a.nii", folder, "p1") == folder / "maps/a.nii"
    assert resolve_pattern("/maps/{id}/a.nii", folder, "p1") == Path("/maps/p1/a.nii")
    with pytest.raises(InputError, match="same file for every patient"):
        resolve_pattern("/maps/a.nii", folder, "p1")


# --- bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["{tmp}/none", "--synthetic", "{map}", "--out", "{tmp}/o"], "none does not exist"),
        (["{case}", "--synthetic", "{tmp}/no.nii", "--out", "{tmp}/o"], "Synthetic map 'synthetic': {tmp}/no.nii"),
        (["{case}", "--synthetic", "{map}", "--out", "{tmp}"], "{tmp} is not empty"),
        (["{case}", "--synthetic", "{map}", "--synthetic", "{map}", "--out", "{tmp}/o"], "without names"),
        (["{case}", "--synthetic", "{map}", "--out", "{tmp}/o", "--also", "CT"], "--also: 'CT' is not known"),
        (["{case}", "--synthetic", "{map}", "--out", "{tmp}/o", "--also", "ADC"], "has no ADC"),
        (["{case}", "--synthetic", "{map}", "--out", "{tmp}/o", "--data-range", "-1"], "data_range"),
        (["{case}", "--synthetic", "{map}", "--out", "{tmp}/o", "--bin-width", "0"], "bin_width"),
        (["{case}", "--synthetic", "{map}", "--out", "{tmp}/o", "--reference", "9"], "no label '9'"),
        (["{case}", "--synthetic", "{map}", "--out", "{tmp}/o", "--grades", "{map}"], "are for a cohort"),
        (["{tmp}", "--synthetic", "{map}", "--out", "{tmp}/o"], "same file for every patient"),
        (["{tmp}", "--synthetic", "a.nii", "--out", "{tmp}/o", "--grades", "{tmp}/no.csv"], "no.csv cannot be read"),
    ],
)
def test_bad_input_is_one_line(capsys, no_jobs, tiny_case, tmp_path, options, said):
    names = {"tmp": tmp_path, "case": tiny_case, "map": tiny_case / "synthetic.nii"}
    before = contents(tmp_path)
    assert run(*(option.format(**names) for option in options)) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[-1].startswith("hiersynth: error: ")
    assert said.format(**names) in err.splitlines()[-1]
    assert contents(tmp_path) == before


@pytest.mark.parametrize("missing", ["--synthetic", "--out"])
def test_usage(capsys, no_worker, tmp_path, missing):
    options = {"--synthetic": "a.nii", "--out": tmp_path / "o"}
    arguments = [part for name, value in options.items() if name != missing for part in (name, value)]
    assert run(tmp_path, *arguments) == 2
    assert missing in capsys.readouterr().err
