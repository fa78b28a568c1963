"""`hiersynth perfusion` with the real worker: a series from files to maps, and what it says to bad input."""

import csv
import json
import os
import re
import signal
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from pydicom.uid import generate_uid

from HierSynthLib.case import Case
from HierSynthLib.cli import main
from HierSynthLib.commands import perfusion as command
from HierSynthLib.commands.terminal import Display
from HierSynthLib.dicom_series import write_dicom_series
from HierSynthLib.perfusion import figure
from HierSynthLib.perfusion.options import Options
from HierSynthLib.perfusion.reading import sidecar_of
from HierSynthLib.perfusion.units import UNITS
from HierSynthLib.perfusion.write import QC_UNITS
from HierSynthLib.volume import Volume, read_volume, write_volume
from HierSynthLib.worker.client import WorkerClient
from Testing.unit.test_perfusion_head import make_head

TIMES = ["--te", "0.03", "--tr", "1.5"]


@pytest.fixture(scope="module")
def client():
    with WorkerClient(cancel_grace=10.0) as client:
        client.start()
        yield client


@pytest.fixture
def one_worker(client, monkeypatch):
    """Let all commands use the same real worker: starting one takes longer than processing a small series."""

    @contextmanager
    def worker():
        yield client

    monkeypatch.setattr(command, "worker", worker)


@pytest.fixture
def undrawn(monkeypatch):
    def save_figure(_, stem):
        for kind in ("png", "svg"):
            stem.with_name(f"{stem.name}.{kind}").touch()

    monkeypatch.setattr(figure, "perfusion_figure", lambda folder: folder)
    monkeypatch.setattr(figure, "save_figure", save_figure)


@pytest.fixture
def no_worker(monkeypatch):
    def worker():
        raise AssertionError("a worker was started")

    monkeypatch.setattr(command, "worker", worker)


@pytest.fixture(scope="module")
def head():
    return make_head((22, 27, 10), (6.4, 6.4, 9.6), frames=60)


@pytest.fixture(scope="module")
def signal_of(head):
    return np.rint(head.series.echoes[0]).astype(np.int16)


@pytest.fixture(scope="module")
def files(head, signal_of, tmp_path_factory):
    """The series with a sidecar, and masks."""
    folder = tmp_path_factory.mktemp("series")
    affine = head.series.affine
    write_volume(Volume(signal_of, affine), folder / "dsc.nii")
    times = {"EchoTime": 0.03, "RepetitionTime": 1.5, "FlipAngle": 30}
    sidecar_of(folder / "dsc.nii").write_text(json.dumps(times), encoding="utf-8")
    write_volume(Volume(signal_of, affine), folder / "bare.nii")
    labels = 1 * head.mask("tumour") + 4 * (head.mask("white") & head.brain)
    write_volume(Volume(labels.astype(np.int16), affine), folder / "roi.nii")
    write_volume(Volume(head.mask("artery").astype(np.uint8), affine), folder / "artery.nii")
    return folder


def run(*arguments):
    return main(["perfusion", *map(str, arguments)])


def contents(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


# --- what it makes ---------------------------------------------------------------------------------------------------


def test_from_a_series_to_maps_curves_quality_and_figure(capsys, files, tmp_path):
    out = tmp_path / "new" / "out"
    options = ["--nawm", files / "roi.nii", "--nawm-label", "4", "--no-motion", "--gamma-fit"]
    assert run(files / "dsc.nii", "--out", out, *options) == 0
    printed, told = capsys.readouterr()
    assert str(out / "nrCBV.nii.gz") in printed
    assert "12 frames, SNR" in printed
    assert "Research only" in printed
    assert "perfusion: done, 100%" in told
    assert not list((tmp_path / "new").glob(".*"))

    described = json.loads((out / "maps.json").read_text("utf-8"))["maps"]
    assert {"nrCBV", "rCBV_gamma", "CBF", "K2"} <= set(described)
    image = nibabel.load(out / described["CBF"]["file"])
    assert b"ml/100 g/min" in bytes(image.header["descrip"])
    run_json = json.loads((out / "run.json").read_text("utf-8"))
    assert (run_json["series"]["te_s"], run_json["series"]["tr_s"], run_json["series"]["flip_deg"]) == ([0.03], 1.5, 30)
    assert run_json["options"]["gamma_fit"] is True
    assert run_json["simulated"] is False
    quality = json.loads((out / "qc.json").read_text("utf-8"))
    assert quality["numbers"]["baseline_snr"] > 20
    with (out / "curves.csv").open(encoding="utf-8", newline="") as file:
        assert len(list(csv.DictReader(file))) == 60
    assert (out / "figure.png").stat().st_size > 10_000
    assert (out / "figure.svg").read_text("utf-8").startswith("<?xml")
    labels = read_volume(files / "roi.nii").array
    brain = read_volume(out / "brain_mask.nii.gz").array > 0
    assert read_volume(out / "nrCBV.nii.gz").array[(labels == 4) & brain].mean() == pytest.approx(1, rel=1e-3)


def test_everything_for_programs(capsys, one_worker, undrawn, files, tmp_path):
    out = tmp_path / "out"
    voxels = [f"{i},{j},{k}" for i, j, k in np.argwhere(read_volume(files / "artery.nii").array)[:3]]
    given = [part for voxel in voxels for part in ("--aif", voxel)]
    options = ["--no-motion", "--leakage", "bidirectional", "--deconvolution", "csvd", "--set", "late_frames=8"]
    options += ["--integration", "60", "--set", "aif_blood=[0.5, 2.6]", *TIMES, "--flip", "60"]
    assert run(files / "bare.nii", "--out", out, *given, *options, "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert result["output"] == str(out)
    named = [*result["maps"].values(), *result["masks"].values(), *result["figure"].values()]
    named += [result[name] for name in ("curves", "qc", "run", "description")]
    assert {Path(path) for path in named} == set(out.iterdir())
    assert result["units"]["CBV"] == "ml/100 g"
    assert [",".join(map(str, voxel)) for voxel in result["aif"]["voxels"]] == voxels
    assert result["elapsed_seconds"] > 0
    made = json.loads(Path(result["run"]).read_text("utf-8"))
    expected = {
        "motion": False,
        "leakage": "bidirectional",
        "deconvolution": "csvd",
        "late_frames": 8,
        "integration_s": 60.0,
        "aif_blood": [0.5, 2.6],
    }
    assert {name: made["options"][name] for name in expected} == expected
    assert made["series"]["flip_deg"] == 60


def test_an_artery_by_mask(capsys, one_worker, undrawn, files, tmp_path):
    options = ["--no-motion", "--aif", files / "artery.nii", "--json"]
    assert run(files / "dsc.nii", "--out", tmp_path / "out", *options) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["aif"]["method"] == "given"
    expected = np.argwhere(read_volume(files / "artery.nii").array).tolist()
    assert result["aif"]["voxels"] == expected


def test_without_an_aif_there_is_relative_cbv_and_the_way_out(capsys, one_worker, undrawn, files, tmp_path):
    out = tmp_path / "out"
    assert run(files / "dsc.nii", "--out", out, "--no-motion", "--set", "aif_peak_snr=1e6") == 0
    printed, told = capsys.readouterr()
    assert "--aif I,J,K" in printed
    assert "hiersynth: warning: No arterial input function was found" in told
    assert (out / "rCBV.nii.gz").exists()
    assert not (out / "CBV.nii.gz").exists()


def test_two_echoes_of_which_each_file_says_its_time(capsys, one_worker, undrawn, tmp_path):
    series = make_head((22, 27, 10), (6.4, 6.4, 9.6), frames=60, te_s=(0.014, 0.04)).series
    paths = []
    for number, (echo, te_s) in enumerate(zip(series.echoes, series.te_s, strict=True), 1):
        paths.append(tmp_path / f"echo{number}.nii")
        write_volume(Volume(echo, series.affine), paths[-1])
        sidecar_of(paths[-1]).write_text(json.dumps({"EchoTime": te_s, "RepetitionTime": 1.5}), encoding="utf-8")
    assert run(*paths, "--out", tmp_path / "out", "--no-motion", "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert json.loads(Path(result["run"]).read_text("utf-8"))["series"]["te_s"] == [0.014, 0.04]
    assert run(*reversed(paths), "--out", tmp_path / "b") == 1
    assert "Give the echoes in the order of their echo times" in capsys.readouterr().err
    assert run(*paths, "--out", tmp_path / "b", "--te", "0.03") == 1
    assert "2 series and 1 echo times are given" in capsys.readouterr().err


def test_a_dicom_folder_brings_its_times(capsys, one_worker, undrawn, head, signal_of, tmp_path):
    """The times of a DICOM folder are in ms; each frame is written as a series of its own and joined."""
    folder = tmp_path / "dsc"
    folder.mkdir()
    some = slice(3, 7)
    affine = head.series.affine.copy()
    affine[:3, 3] += some.start * affine[:3, 2]
    uid = generate_uid()
    for frame in range(24):
        part = tmp_path / "part"
        image = Volume(signal_of[:, :, some, frame + 4], affine)
        write_dicom_series(image, part, case_id="x", description="d", overwrite=True)
        for path in part.iterdir():
            image = pydicom.dcmread(path)
            image.EchoTime, image.RepetitionTime, image.FlipAngle = "30", "1500", "30"
            image.SeriesInstanceUID, image.SOPInstanceUID = uid, generate_uid()
            image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
            image.TemporalPositionIdentifier = frame + 1
            image.AcquisitionNumber = frame + 1
            image.save_as(folder / f"{frame:03d}-{path.name}")
    assert run(folder, "--out", tmp_path / "out", "--no-motion", "--json") == 0
    result = json.loads(capsys.readouterr().out)
    series = json.loads(Path(result["run"]).read_text("utf-8"))["series"]
    assert (series["te_s"], series["tr_s"], series["flip_deg"], series["frames"]) == ([0.03], 1.5, 30, 24)


def test_a_series_of_a_simulated_patient_is_marked(capsys, one_worker, undrawn, files, tmp_path):
    case = Case(id="p", files={"T1": Path("dsc.nii")}, units={}, simulated=True)
    folder = tmp_path / "case"
    folder.mkdir()
    for name in ("dsc.nii", "dsc.json"):
        (folder / name).write_bytes((files / name).read_bytes())
    (folder / "case.json").write_text(json.dumps({"version": 1, "id": case.id, "simulated": True, "roles": {}}))
    assert run(folder / "dsc.nii", "--out", tmp_path / "out", "--no-motion") == 0
    assert "SIMULATED" in capsys.readouterr().out
    assert json.loads((tmp_path / "out" / "run.json").read_text("utf-8"))["simulated"] is True


@pytest.mark.parametrize("mark", ["header", "json"])
def test_the_mark_of_a_simulated_series_survives_without_its_case(capsys, one_worker, undrawn, files, tmp_path, mark):
    image = read_volume(files / "dsc.nii")
    description = "SIMULATED DSC" if mark == "header" else "DSC"
    write_volume(image, tmp_path / "copy.nii", description=description, frame_s=1.5)
    times = {"EchoTime": 0.03, "RepetitionTime": 1.5} | ({"Simulated": True} if mark == "json" else {})
    sidecar_of(tmp_path / "copy.nii").write_text(json.dumps(times), encoding="utf-8")
    assert run(tmp_path / "copy.nii", "--out", tmp_path / "out", "--no-motion") == 0
    assert "SIMULATED" in capsys.readouterr().out
    assert json.loads((tmp_path / "out" / "run.json").read_text("utf-8"))["simulated"] is True
    assert b"SIMULATED" in bytes(nibabel.load(tmp_path / "out" / "rCBV.nii.gz").header["descrip"])


def test_ctrl_c_leaves_nothing(capsys, one_worker, undrawn, monkeypatch, files, tmp_path):
    pressed = []

    def show_progress(display, stage, fraction, original=Display.progress):
        original(display, stage, fraction)
        if stage == "motion correction" and not pressed:
            pressed.append(stage)
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Display, "progress", show_progress)
    assert run(files / "dsc.nii", "--out", tmp_path / "new" / "out") == 130
    assert pressed
    assert contents(tmp_path) == set()


def test_a_figure_that_fails_leaves_nothing(capsys, one_worker, undrawn, monkeypatch, files, tmp_path):
    def save_figure(*_):
        raise RuntimeError("no ink")

    monkeypatch.setattr(figure, "save_figure", save_figure)
    assert run(files / "dsc.nii", "--out", tmp_path / "out", "--no-motion") == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith("hiersynth: error: unexpected RuntimeError: no ink.")
    assert contents(tmp_path) == set()


# --- bad input: the series -------------------------------------------------------------------------------------------


def no_bolus(values):
    return np.repeat(values[..., :1], values.shape[3], axis=3) + np.arange(60, dtype=np.int16) % 2


def saturated(values):
    return np.minimum(values * 6, 2047)


def negative(values):
    values = values.copy()
    values[:5] = -50
    return values


def one_frame_empty(values):
    values = values.copy()
    values[..., 30] = 0
    return values


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda values: values[..., 0], "has 3 dimensions, not 4"),
        (lambda values: values[..., :19], "has 19 frames. At least 20 are needed"),
        (no_bolus, "shows no bolus"),
        (lambda values: values[..., 13:], "The baseline of the DSC series is too short"),
        (negative, "is negative in"),
        (one_frame_empty, "has no signal in 1 of 60 frames (the first is frame 31)"),
        (saturated, "is saturated"),
        (lambda values: 0 * values, "has no signal in 60 of 60 frames"),
    ],
)
def test_a_series_that_cannot_be_used_is_one_line(capsys, one_worker, head, signal_of, tmp_path, change, said):
    write_volume(Volume(change(signal_of), head.series.affine), tmp_path / "dsc.nii")
    assert run(tmp_path / "dsc.nii", "--out", tmp_path / "out", "--no-motion", *TIMES) == 1
    out, err = capsys.readouterr()
    assert out == ""
    line = err.splitlines()[-1]
    assert line.startswith("hiersynth: error: ")
    assert said in line
    assert contents(tmp_path) == {"dsc.nii"}


@pytest.mark.parametrize(
    ("sidecar", "said"),
    [
        (None, "The echo time of {path} is unknown. Give it in seconds with --te, once per echo"),
        ({"EchoTime": 0.03}, "The time between the frames of {path} is unknown. Give the time between frames in"),
        ({"EchoTime": 30, "RepetitionTime": 1.5}, "given as 30 s, which looks like milliseconds. If it is 30 ms, give"),
        ({"EchoTime": 0.03, "RepetitionTime": 1500}, "given as 1500 s, which looks like milliseconds"),
        ({"EchoTime": 0.0001, "RepetitionTime": 1.5}, "0.0001 s, is out of range"),
        ({"EchoTime": "0.03", "RepetitionTime": 1.5}, "is no number"),
        ("{", "cannot be read as JSON"),
    ],
)
def test_times_are_asked_for_and_never_guessed(capsys, one_worker, files, tmp_path, sidecar, said):
    path = tmp_path / "dsc.nii"
    path.write_bytes((files / "bare.nii").read_bytes())
    if sidecar is not None:
        text = sidecar if isinstance(sidecar, str) else json.dumps(sidecar)
        sidecar_of(path).write_text(text, encoding="utf-8")
    assert run(path, "--out", tmp_path / "out") == 1
    assert said.format(path=path) in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--brain", "{files}/dsc.nii"], "has 4 dimensions"),
        (["--nawm", "{files}/roi.nii"], "several values (1, 4). Say which one"),
        (["--nawm", "{files}/roi.nii", "--nawm-label", "7"], "without the label 7"),
        (["--aif", "99,0,0"], "lies outside the DSC series"),
        (["--aif", "0,0,0"], "show no bolus"),
    ],
)
def test_masks_and_voxels_that_cannot_be_used(capsys, one_worker, files, tmp_path, options, said):
    options = [option.format(files=files) for option in options]
    assert run(files / "dsc.nii", "--out", tmp_path / "out", "--no-motion", *options) == 1
    assert said in capsys.readouterr().err.splitlines()[-1]
    assert contents(tmp_path) == set()


# --- bad input: before the worker is started -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["{tmp}/none.nii", "--out", "{tmp}/o"], "{tmp}/none.nii does not exist"),
        (["{dsc}", "--out", "{tmp}/o", "--brain", "{tmp}/b.nii"], "{tmp}/b.nii does not exist"),
        (["{dsc}", "--out", "{files}"], "{files} is not empty"),
        (["{dsc}", "{dsc}", "{dsc}", "--out", "{tmp}/o"], "3 series are given"),
        (["{dsc}", "--out", "{tmp}/o", "--te", "30"], "30 s, which looks like milliseconds. If it is 30 ms, give --te"),
        (["{dsc}", "--out", "{tmp}/o", "--tr", "1500"], "looks like milliseconds. If it is 1500 ms, give --tr 1.5"),
        (["{dsc}", "--out", "{tmp}/o", "--tr", "nan"], "out of range"),
        (["{dsc}", "--out", "{tmp}/o", "--te", "0.01", "--te", "0.03"], "1 series and 2 echo times"),
        (["{dsc}", "--out", "{tmp}/o", "--flip", "0"], "flip angle of 0° is out of range"),
        (["{dsc}", "--out", "{tmp}/o", "--aif", "1,2"], "--aif 1,2 is neither three whole numbers I,J,K nor a file"),
        (["{dsc}", "--out", "{tmp}/o", "--aif", "1,2,3", "--aif", "{dsc}"], "Give voxels, or one mask"),
        (["{dsc}", "--out", "{tmp}/o", "--nawm-label", "4"], "--nawm-label is given without --nawm"),
        (["{dsc}", "--out", "{tmp}/o", "--set", "late_frames"], "not NAME=VALUE"),
        (["{dsc}", "--out", "{tmp}/o", "--set", "colour=1"], "option 'colour'"),
        (["{dsc}", "--out", "{tmp}/o", "--set", "late_frames=0"], "late_frames = 0 is out of range"),
        (["{dsc}", "--out", "{tmp}/o", "--set", "late_frames=many"], "'many' is of the wrong kind"),
        (["{dsc}", "--out", "{tmp}/o", "--set", "motion=0"], "wrong kind"),
        (["{dsc}", "--out", "{tmp}/o", "--integration", "nan"], "out of range"),
    ],
)
def test_bad_options_are_one_line(capsys, no_worker, files, tmp_path, options, said):
    names = {"tmp": tmp_path, "files": files, "dsc": files / "dsc.nii"}
    assert run(*(option.format(**names) for option in options)) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert said.format(**names) in err
    assert contents(tmp_path) == set()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--out", "o"], "DSC"),
        (["dsc.nii"], "--out"),
        (["dsc.nii", "--out", "o", "--leakage", "some"], "bidirectional"),
        (["dsc.nii", "--out", "o", "--te", "long"], "--te"),
    ],
)
def test_usage(capsys, no_worker, options, said):
    assert run(*options) == 2
    assert said in capsys.readouterr().err


# --- the page --------------------------------------------------------------------------------------------------------


def test_the_page_names_every_parameter_map_number_and_option(capsys):
    page = (Path(__file__).parents[2] / "docs" / "perfusion.md").read_text("utf-8")
    assert run("--help") == 0
    options = set(re.findall(r"--[a-z-]+", capsys.readouterr().out)) - {"--json", "--debug", "--help", "--no-gamma-fit"}
    assert options >= {"--te", "--aif", "--leakage"}
    for name in (*(field.name for field in fields(Options)), *UNITS, *QC_UNITS):
        assert f"`{name}`" in page, name
    for name in options:
        assert name in page, name
