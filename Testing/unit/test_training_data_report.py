"""The data report: what it says of a cohort, as text, JSON and CSV, and what stops a training."""

import csv
import io
import json
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest

from HierSynthLib.case import Case, Role
from HierSynthLib.errors import InputError
from Testing import data_sets
from Training.config import TrainingConfig
from Training.datasets import examination
from Training.datasets.__main__ import main
from Training.datasets.cohort import Cohort, Subject, Target
from Training.datasets.loading import check_targets, same_content
from Training.datasets.report import report_data
from Training.datasets.series import times_of
from Training.datasets.settings import DataConfig

SUBJECTS = {"sub-01": ["ses-1", "ses-2"], "sub-02": [], "sub-03": [], "sub-04": []}


def settings(folder: Path, source: str = "bids") -> TrainingConfig:
    return TrainingConfig(spacing_mm=(3.0,) * 3, data=DataConfig(source=source, folder=str(folder)))


@pytest.fixture(scope="module")
def bids(tmp_path_factory) -> Path:
    """Four patients: one without FLAIR, one with a truncated T2, one without CBV."""
    folder = data_sets.write_bids(tmp_path_factory.mktemp("bids"), SUBJECTS)
    (folder / "sub-02" / "anat" / "sub-02_FLAIR.nii.gz").unlink()
    broken = folder / "sub-03" / "anat" / "sub-03_T2w.nii.gz"
    broken.write_bytes(broken.read_bytes()[:3000])
    (folder / "sub-04" / "perf" / "sub-04_cbv.nii.gz").unlink()
    return folder


@pytest.fixture(scope="module")
def report(bids, tmp_path_factory):
    return report_data(settings(bids), tmp_path_factory.mktemp("cache"), workers=1)


def test_counts_exclusions_and_what_is_absent(report):
    content = report.to_json()
    assert [row["examination"] for row in content["examinations"]] == ["sub-01_ses-1", "sub-01_ses-2", "sub-02"]
    assert sum(content["patients"].values()) == 2
    reasons = {entry["examination"]: entry["reason"] for entry in content["excluded"]}
    assert set(reasons) == {"sub-03", "sub-04"}
    assert "sub-03_T2w.nii.gz" in reasons["sub-03"]
    assert reasons["sub-04"] == "It has no perf/*_cbv map."
    assert content["examinations"][2]["remarks"].startswith("FLAIR is absent.")


def test_values_grids_and_units_are_those_that_nibabel_reads(report, bids):
    row = report.to_json()["examinations"][0]
    image = nibabel.load(bids / "sub-01" / "ses-1" / "anat" / "sub-01_ses-1_T1w.nii.gz")
    values = image.get_fdata()
    for name, expected in zip(("p1", "median", "p99"), np.percentile(values[values != 0], (1, 50, 99)), strict=True):
        assert row[f"T1 {name}"] == pytest.approx(expected, rel=1e-3)
    assert row["grid"].startswith(" × ".join(map(str, image.shape)))
    assert "3 × 3 × 3 mm" in row["grid"]
    assert row["ADC units"] == "10⁻³ mm²/s"
    assert row["CBV_acquired units"] == "nrCBV"
    assert row["split"] == report.to_json()["examinations"][1]["split"], "the same patient on another day"


def test_text_and_table_say_the_same(report, tmp_path):
    report.write(tmp_path)
    text = (tmp_path / "data.txt").read_text("utf-8")
    assert "Data set bids: 3 examinations of 2 patients, read from files." in text
    assert "FLAIR is absent. 1" in text
    assert "Left out (2):" in text
    assert "3 × 64 × 78 × 64 (T1, 3 × 3 × 3 mm)" in text
    rows = list(csv.DictReader(io.StringIO((tmp_path / "data.csv").read_text("utf-8"))))
    assert [row["examination"] for row in rows] == ["sub-01_ses-1", "sub-01_ses-2", "sub-02", "sub-04", "sub-03"]
    assert rows[-1]["left out"]
    assert json.loads((tmp_path / "data.json").read_text("utf-8")) == json.loads(json.dumps(report.to_json()))


def test_the_second_report_reads_no_volume(bids, tmp_path, monkeypatch):
    shutil.copytree(bids / "sub-01", tmp_path / "sub-01", copy_function=shutil.copy2)
    first = report_data(settings(tmp_path), tmp_path / "cache", 1)
    monkeypatch.setattr(examination, "load_subject", lambda *_: pytest.fail("read again"))
    again = report_data(settings(tmp_path), tmp_path / "cache", 1)
    assert again.to_json() == first.to_json()
    assert len(again.rows) == 2


def test_mixed_grids_are_reported_and_used(tmp_path):
    data_sets.write_isles(tmp_path, 1)
    data_sets.write_isles(tmp_path, 2, spacing=2)
    text = report_data(settings(tmp_path, "isles"), tmp_path / "cache", 1).text()
    assert "1 × 64 × 78 × 64 (ADC, 3 × 3 × 3 mm)" in text
    assert "1 × 64 × 78 × 32 (ADC, 3 × 3 × 6 mm)" in text
    assert "10⁻⁶ mm²/s" in text, "the units that were recognised"


def test_series_are_looked_at_before_the_training(tmp_path):
    """A dry run says that times are missing and which series is none; what is configured is not asked of the file."""
    names = [f"UPENN-GBM-0000{n}_11" for n in (1, 2, 3)]
    data_sets.write_upenn(tmp_path, names)
    paths = [tmp_path / "NIfTI-files" / "images_DSC" / name / f"{name}_DSC.nii.gz" for name in names]
    data_sets.write_dsc(paths[0], frames=21, timing=False)
    data_sets.write_dsc(paths[1], frames=21)
    data_sets.write_dsc(paths[2], frames=19)

    def reported(**times: float):
        data = DataConfig(source="upenn-gbm", folder=str(tmp_path), cbv="dsc", shares=(1.0, 0.0, 0.0, 0.0), **times)
        found = report_data(TrainingConfig(spacing_mm=(3.0,) * 3, data=data), tmp_path / "cache", 1)
        return {row.subject.id for row in found.rows}, {one.subject: one.reason for one in found.excluded}

    used, excluded = reported()
    assert used == {names[1]}
    assert "states its echo time and the time between its frames. Set te_s and tr_s" in excluded[names[0]]
    assert "× 19 values, where a series of at least 20 frames is expected" in excluded[names[2]]
    used, excluded = reported(te_s=0.03, tr_s=1.5)
    assert (used, set(excluded)) == ({*names[:2]}, {names[2]})
    used, excluded = reported(te_s=30.0, tr_s=1500.0)
    assert not used
    assert "looks like milliseconds" in excluded[names[0]]
    paths[0].with_name(f"{names[0]}_DSC.json").write_text("{")
    assert times_of(paths[0], DataConfig(te_s=0.03, tr_s=1.5)) == (0.03, 1.5)
    with pytest.raises(InputError, match="cannot be read as JSON"):
        times_of(paths[0], DataConfig(te_s=0.03))
    assert times_of(paths[1], DataConfig(te_s=0.05)) == (0.05, 1.5)


def test_a_cohort_without_cbv_is_reported_with_an_error(tmp_path):
    data_sets.write_ucsf(tmp_path, ["UCSF-PDGM-0004"])
    report = report_data(settings(tmp_path, "ucsf-pdgm"), tmp_path / "cache", 1)
    assert len(report.rows) == 1
    assert "no CBV maps to learn from" in report.errors[0]
    assert "ERRORS, which stop a training" in report.text()


def test_simulated_patients_are_reported_without_making_them(tmp_path):
    config = TrainingConfig(data=DataConfig(phantoms=40, test=10))
    report = report_data(config, tmp_path, 1)
    assert report.errors == ()
    assert report.to_json()["patients"] == {"train": 40, "validation": 4, "calibration": 4, "test": 10}
    assert "58 examinations of 58 patients, simulated" in report.text()
    assert "high 20, low 10, none 10" in report.text()


def subject(name: str, units: str = "", rule: str = "map") -> Subject:
    return Subject(name, name, Case(name, {}, {Role.CBV_ACQUIRED: units} if units else {}), Target(rule))


def test_maps_in_different_units_are_refused():
    mixed = Cohort("bids", (subject("a", "nrCBV"), subject("b", "nrCBV"), subject("c", "ml/100 g")))
    with pytest.raises(InputError) as caught:
        check_targets(mixed)
    assert "nrCBV: 2 (e.g. a); ml/100 g: 1 (e.g. c)" in caught.value.message
    with pytest.raises(InputError, match="not stated: 1"):
        check_targets(Cohort("bids", (subject("a", "nrCBV"), subject("c"))))
    check_targets(Cohort("bids", (subject("a", "nrCBV"), subject("d", rule="none"))))


def test_same_content_within_and_across_splits():
    splits = {"p": "train", "q": "train", "r": "test"}
    entries = [
        ("p-1", "p", {"T1": "x"}),
        ("p-2", "p", {"T1": "x"}),
        ("q-1", "q", {"T2": "x"}),
        ("r-1", "r", {"T1": "y"}),
    ]
    within, across = same_content(entries, splits)
    assert within == ["T2 of q-1 has the same values as a volume of p-1."]
    assert across == []
    _, across = same_content([*entries, ("r-2", "r", {"ADC": "x"})], splits)
    assert across == [
        "ADC of r-2 has the same values as a volume of p-1, but they are in different splits (test, train)."
    ]


def run_command(monkeypatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["datasets", *arguments])
    return main()


def test_the_command_reports_and_explains_faults(tmp_path, monkeypatch, capsys):
    config = tmp_path / "my.yaml"
    steps = "global_stage: {steps: 1}\n"
    config.write_text(f"{steps}data: {{source: phantoms, phantoms: 3}}\n")
    cache = tmp_path / "cache"
    assert run_command(monkeypatch, "--config", str(config), "--cache", str(cache), "--report-only") == 0
    assert "15 examinations of 15 patients, simulated" in capsys.readouterr().out
    assert (cache / "data.csv").read_text().count("\n") == 16
    config.write_text(f"{steps}data: {{source: bids, folder: {tmp_path / 'nowhere'}}}\n")
    assert run_command(monkeypatch, "--config", str(config), "--cache", str(cache)) == 1
    message = capsys.readouterr().err
    assert "nowhere is not a folder" in message
    assert "Traceback" not in message
