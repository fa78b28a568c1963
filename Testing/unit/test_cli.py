"""The `hiersynth` command: exit codes, one line per error, JSON for programs, and nothing half-written."""

import functools
import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest

import HierSynthLib
from HierSynthLib.case import Case, Role
from HierSynthLib.cli import main
from HierSynthLib.commands import jobs
from HierSynthLib.commands.demo import demo_folder, free_names
from HierSynthLib.commands.terminal import Display
from HierSynthLib.worker.client import WorkerClient

LIBRARY = Path(__file__).parents[2]
QUICK_WORKER = str(LIBRARY / "Testing" / "fixtures" / "quick_worker.py")


@pytest.fixture
def quick(monkeypatch, tmp_path):
    """Let the commands use a worker that answers at once, and a model that is only a folder."""
    monkeypatch.setattr(jobs, "WorkerClient", functools.partial(WorkerClient, arguments=(QUICK_WORKER,)))
    (tmp_path / "model").mkdir()
    return ["--model", str(tmp_path / "model")]


@pytest.fixture
def quick_demo(quick, monkeypatch):
    """Let the demo draw empty figures and write an empty report."""
    import HierSynthLib.commands.demo
    import HierSynthLib.fidelity.figures
    import HierSynthLib.perfusion.figure

    def report_case(client, case, synthetic, choices, plan, out, *, debug):
        assert [(name, path.is_dir()) for name, path in synthetic] == [("synthetic", True)]
        out.mkdir()
        (out / "report.html").touch()
        sentence = "Synthetic agrees with acquired."
        return {"report": str(out / "report.html"), "sentences": [sentence], "statement": "SYNTHETIC, SIMULATED."}

    monkeypatch.setattr(HierSynthLib.commands.demo, "report_case", report_case)
    monkeypatch.setattr(HierSynthLib.fidelity.figures, "case_figure", lambda case, maps, figure: figure.touch())
    monkeypatch.setattr(HierSynthLib.perfusion.figure, "perfusion_figure", lambda folder: folder)
    monkeypatch.setattr(HierSynthLib.perfusion.figure, "save_figure", lambda _, stem: Path(f"{stem}.png").touch())
    return quick


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "image.nii.gz"
    nibabel.save(nibabel.Nifti1Image(np.ones((4, 4, 4), np.float32), np.eye(4)), path)
    return str(path)


def hiersynth(*arguments, **options):
    """Start the command as a user does."""
    environment = os.environ | {"PYTHONPATH": str(LIBRARY)}
    command = [sys.executable, "-m", "HierSynthLib.cli", *map(str, arguments)]
    return subprocess.Popen(command, env=environment, text=True, **options)


def fails_in_one_line(capsys, arguments, code=1):
    """Run a command that fails, and return its one line."""
    assert main([str(argument) for argument in arguments]) == code
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert lines[-1].startswith("hiersynth: error: ")
    assert not [
        line for line in lines if "Traceback" in line or (line.startswith("hiersynth: error") and line != lines[-1])
    ]
    return lines[-1]


def press_ctrl_c(monkeypatch, at, again=False):
    """Press Ctrl-C when a stage is shown for the first time, and again when the command says that it stops."""
    pressed = []

    def show_progress(display, stage, fraction, original=Display.progress):
        original(display, stage, fraction)
        if stage == at and not pressed:
            pressed.append(at)
            os.kill(os.getpid(), signal.SIGINT)

    def say(display, line, original=Display.say):
        original(display, line)
        if again and line.startswith("stopping"):
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Display, "progress", show_progress)
    monkeypatch.setattr(Display, "say", say)


# --- usage -----------------------------------------------------------------------------------------------------------


def test_version_and_help(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == f"hiersynth {HierSynthLib.__version__}"
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    for command in ("demo", "fidelity", "perfusion", "phantom", "synthesize", "models"):
        assert command in text


def test_nothing_asked_for_shows_the_help(capsys):
    assert main([]) == 2
    assert "Commands:" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["dance"], "No such command 'dance'"),
        (["phantom"], "OUT"),
        (["phantom", "x", "--seed", "one"], "'--seed'"),
        (["phantom", "x", "--seed", "-1"], "'--seed'"),
        (["phantom", "x", "--grade", "huge"], "'high', 'low', 'none'"),
        (["phantom", "x", "--size", "big"], "'full', 'small'"),
        (["phantom", "x", "--wrong"], "--wrong"),
        (["synthesize", "x"], "--out"),
        (["synthesize", "x", "--out", "y", "--device", "tpu"], "'auto', 'cpu', 'cuda', 'mps'"),
        (["models", "show"], "NAME"),
    ],
)
def test_a_usage_mistake_is_one_line_and_code_2(capsys, arguments, said):
    line = fails_in_one_line(capsys, arguments, code=2)
    assert said in line
    assert "--help" in line
    assert capsys.readouterr().err == ""


# --- mistakes that are found before the worker starts ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["synthesize", "{tmp}/nowhere", "--out", "{tmp}/o", "{model}"], "nowhere"),
        (
            ["synthesize", "--t1", "{tmp}/no.nii.gz", "--out", "{tmp}/o", "{model}"],
            "T1: {tmp}/no.nii.gz does not exist.",
        ),
        (["synthesize", "--out", "{tmp}/o", "{model}"], "No sequence is given"),
        (
            ["synthesize", "{tmp}", "--t1", "{image}", "--out", "{tmp}/o", "{model}"],
            "Both a case folder and image files",
        ),
        (["synthesize", "--t1", "{image}", "--reference", "T2", "--out", "{tmp}/o", "{model}"], "reference T2"),
        (["synthesize", "--t1", "{image}", "--out", "{tmp}/o", "--model=none-such"], "'none-such' is not installed"),
        (["synthesize", "--t1", "{image}", "--out", "{tmp}", "{model}"], "{tmp} is not empty"),
        (["synthesize", "--t1", "{image}", "--out", "{image}/o", "{model}"], "{image} is a file, not a folder"),
        (["phantom", "{tmp}"], "{tmp} is not empty"),
        (["phantom", "{image}"], "is a file"),
        (["demo", "--out", "{image}/demo", "{model}"], "is a file"),
        (["models", "show", "none-such"], "'none-such' is not installed"),
        (["models", "verify", "{tmp}"], "metadata.json is missing"),
        (["models", "install", "{tmp}/no.zip"], "no.zip"),
        (["models", "remove", "none-such"], "none-such"),
    ],
)
def test_mistakes_that_need_no_worker(capsys, monkeypatch, tmp_path, image, arguments, said):
    def no_worker(**_):
        raise AssertionError("a worker was started")

    monkeypatch.setattr(jobs, "WorkerClient", no_worker)
    monkeypatch.setenv("HIERSYNTH_DATA", str(tmp_path / "data"))
    names = {"tmp": tmp_path, "image": image, "model": f"--model={tmp_path}"}
    before = sorted(tmp_path.rglob("*"))
    line = fails_in_one_line(capsys, [argument.format(**names) for argument in arguments])
    assert said.format(**names) in line
    assert [path for path in sorted(tmp_path.rglob("*")) if "data" not in path.parts] == before


def test_a_folder_that_may_not_be_written(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # the tests may run as root, who may everything
    line = fails_in_one_line(capsys, ["phantom", tmp_path / "out"])
    assert f"{tmp_path} cannot be written" in line


def test_an_unexpected_error_is_one_line_and_with_debug_a_traceback(capsys, monkeypatch, tmp_path):
    def break_down(**_):
        raise ZeroDivisionError("division\nby zero")

    monkeypatch.setattr(jobs, "WorkerClient", break_down)
    line = fails_in_one_line(capsys, ["phantom", tmp_path / "out"])
    assert "unexpected ZeroDivisionError: division by zero" in line
    assert "--debug" in line
    assert main(["phantom", str(tmp_path / "out"), "--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err


# --- jobs ------------------------------------------------------------------------------------------------------------


def test_phantom_for_people_and_for_programs(capsys, quick, tmp_path):
    assert main(["phantom", str(tmp_path / "a"), "--seed", "5"]) == 0
    out, err = capsys.readouterr()
    assert str(tmp_path / "a") in out
    assert "phantom: anatomy, 50%" in err.splitlines()
    assert main(["phantom", str(tmp_path / "b"), "--seed", "5", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["case"] == str(tmp_path / "b")
    assert json.loads((tmp_path / "b" / "case.json").read_text())["facts"] == {"seed": 5}
    assert (tmp_path / "b" / "DSC.nii.gz").exists()
    assert main(["phantom", str(tmp_path / "c"), "--no-dsc"]) == 0
    assert not (tmp_path / "c" / "DSC.nii.gz").exists()


def test_synthesize_prints_the_maps_and_the_warnings(capsys, quick, tmp_path):
    assert main(["phantom", str(tmp_path / "case"), "--json"]) == 0
    capsys.readouterr()
    assert main(["synthesize", str(tmp_path / "case"), "--out", str(tmp_path / "maps"), "--json", *quick]) == 0
    out, err = capsys.readouterr()
    result = json.loads(out)
    assert Path(result["maps"]["synthetic"]).is_file()
    assert result["warnings"] == ["This is no brain."]
    assert "hiersynth: warning: This is no brain." in err.splitlines()


def test_a_failed_job_is_one_line_and_with_debug_its_log(capsys, quick, tmp_path):
    line = fails_in_one_line(capsys, ["phantom", tmp_path / "x", "--seed", "13"])
    assert line == "hiersynth: error: The phantom's seed is unlucky. Choose another one."
    assert main(["phantom", str(tmp_path / "x"), "--seed", "13", "--debug"]) == 1
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert "in phantom" in err
    assert err.splitlines()[-1] == line


def test_ctrl_c_stops_the_job_and_gives_code_130(capsys, monkeypatch, quick, tmp_path):
    handler = signal.getsignal(signal.SIGINT)
    press_ctrl_c(monkeypatch, at="waiting")
    assert main(["phantom", str(tmp_path / "x"), "--seed", "14"]) == 130
    assert capsys.readouterr().err.splitlines()[-2:] == ["stopping …", "hiersynth: stopped"]
    assert signal.getsignal(signal.SIGINT) is handler


@pytest.mark.parametrize("out", ["x", "new/folders/x"])
def test_a_worker_that_dies_leaves_nothing_half_written(capsys, quick, tmp_path, out):
    (tmp_path / f".{os.getpid()}-0123456789ab.tmp.x").mkdir()  # of somebody else
    before = sorted(tmp_path.rglob("*"))
    line = fails_in_one_line(capsys, ["phantom", tmp_path / out, "--seed", "15"])
    assert "The background process ended with exit code 3." in line
    assert sorted(tmp_path.rglob("*")) == before


def test_the_folder_that_another_process_is_filling_stays(capsys, quick, monkeypatch, tmp_path):
    other = tmp_path / f".{os.getpid()}-0123456789ab.tmp.x"

    def show_progress(display, stage, fraction, original=Display.progress):
        original(display, stage, fraction)
        if stage == "half-written":
            other.mkdir()

    monkeypatch.setattr(Display, "progress", show_progress)
    fails_in_one_line(capsys, ["phantom", tmp_path / "x", "--seed", "15"])
    assert other.is_dir()
    assert sorted(tmp_path.iterdir()) == sorted([other, tmp_path / "model"])


def test_a_deaf_job_is_ended_by_a_second_ctrl_c_and_leaves_nothing_half_written(monkeypatch, quick, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    press_ctrl_c(monkeypatch, at="half-written", again=True)
    assert main(["phantom", str(tmp_path / "x"), "--seed", "16"]) == 130
    assert sorted(tmp_path.rglob("*")) == before


def test_ctrl_c_in_a_real_phantom_leaves_nothing(tmp_path):
    process = hiersynth("phantom", tmp_path / "out", "--size", "small", stderr=subprocess.PIPE, stdout=subprocess.PIPE)
    first = process.stderr.readline()
    assert first.startswith("phantom: ")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out == ""
    assert err.splitlines()[-1] == "hiersynth: stopped"
    assert list(tmp_path.iterdir()) == []


def test_the_whole_way_with_a_real_model(tmp_path, tiny_model):
    # A head of 3 mm voxels, oblique, with its brain mask: small enough that importing torch takes most of the time.
    grid = np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in (28, 32, 26)), indexing="ij"))
    radius = np.sqrt((grid**2).sum(axis=0))
    generator = np.random.default_rng(1)
    affine = np.array([[3.0, 0.2, 0, -40], [-0.2, 3.0, 0, -50], [0, 0, 3.0, -38], [0, 0, 0, 1]])
    affine[:3, 1] *= 3.0 / np.linalg.norm(affine[:3, 1])
    affine[:3, 0] *= 3.0 / np.linalg.norm(affine[:3, 0])
    files = {}
    for name, bright in {"t1": 900.0, "t2": 500.0, "flair": 700.0}.items():
        values = bright * (radius < 0.95) * (1.2 - 0.5 * radius) + generator.normal(0, 5, radius.shape) ** 2 / 5
        files[name] = tmp_path / f"{name}.nii.gz"
        nibabel.save(nibabel.Nifti1Image(values.astype(np.float32), affine), files[name])
    mask = tmp_path / "mask.nii.gz"
    nibabel.save(nibabel.Nifti1Image((radius < 0.7).astype(np.uint8), affine), mask)
    options = [part for name, path in files.items() for part in (f"--{name}", path)]
    process = hiersynth(
        "synthesize", *options, "--brain-mask", mask, "--out", tmp_path / "maps", "--model", tiny_model,
        "--no-register", "--device", "cpu", "--json", stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    result = json.loads(out)
    synthetic = nibabel.load(result["maps"]["synthetic"])
    assert synthetic.shape == radius.shape
    np.testing.assert_allclose(synthetic.affine, affine, atol=1e-4)
    assert not synthetic.get_fdata()[radius > 0.9].any()
    assert any("ADC" in warning for warning in result["warnings"])
    assert any("simulated" in warning for warning in result["warnings"])
    assert Path(result["run"]).is_file()


def test_a_terminal_gets_a_bar():
    program = """
from HierSynthLib.commands.terminal import Display
with Display("phantom") as display:
    display.progress("anatomy [odd]", 0.5)
    display.warning("mind\\nthe gap [here]")
    display.progress("writing", 1.0)
"""
    ours, theirs = pty.openpty()
    environment = os.environ | {"PYTHONPATH": str(LIBRARY), "TERM": "xterm", "COLUMNS": "100"}
    subprocess.run([sys.executable, "-c", program], stderr=theirs, env=environment, check=True)
    os.close(theirs)
    shown = b""
    try:
        while block := os.read(ours, 65536):
            shown += block
    except OSError:
        pass  # how a terminal says that nobody writes any more
    finally:
        os.close(ours)
    text = shown.decode()
    assert "100%" in text
    assert "\x1b[" in text
    assert "hiersynth: warning: mind the gap [here]" in text


# --- demo ------------------------------------------------------------------------------------------------------------


def test_the_demo_and_its_repetition(capsys, quick_demo, tmp_path):
    out = tmp_path / "demo"
    arguments = ["demo", "--out", str(out), "--size", "small", *quick_demo]
    assert main(arguments) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "Synthetic agrees with acquired."
    assert f"report             {out / 'fidelity' / 'report.html'}" in printed
    assert any(str(out / "figure.png") in line for line in printed)
    assert {path.name for path in out.iterdir()} == {
        "case", "perfusion", "maps", "figure.png", "fidelity", "demo.json",
    }  # fmt: skip
    assert f"perfusion          {out / 'perfusion' / 'figure.png'}" in printed
    assert (out / "perfusion" / "figure.png").is_file()
    assert "DSC AIF            119 1/s, 5.67 s" in printed
    assert "The AIF is a joke." in printed
    assert json.loads((out / "perfusion" / "run.json").read_text()) == {
        "series": [str(out / "case" / "DSC.nii.gz")],
        "given": ["DSC_brain_mask_true.nii.gz", "DSC_NAWM_true.nii.gz"],
    }
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file() and path.name != "demo.json"}

    assert main([*arguments, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["figure"] == str(out / "figure-2.png")
    assert result["output"] == str(out / "maps-2")
    assert result["fidelity"]["report"] == str(out / "fidelity-2" / "report.html")
    assert result["case"] == str(out / "case")
    assert result["perfusion"]["quality"]["numbers"]["aif_peak"] == 119
    assert before == {path: path.stat().st_mtime_ns for path in before}

    assert main([*arguments, "--seed", "2"]) == 0  # another patient goes elsewhere
    assert (tmp_path / "demo-2" / "figure.png").exists()


def test_a_failed_demo_leaves_nothing(capsys, quick_demo, tmp_path):
    out = tmp_path / "demo"
    assert "unlucky" in fails_in_one_line(capsys, ["demo", "--out", out, "--seed", "13", *quick_demo])
    assert not out.exists()


def test_the_demo_leaves_other_folders_alone(tmp_path):
    settings = {"seed": 1, "size": "full"}
    out = tmp_path / "demo"
    assert demo_folder(out, settings) == out
    out.mkdir()
    assert demo_folder(out, settings) == out
    (out / "thesis.txt").touch()
    assert demo_folder(out, settings) == tmp_path / "demo-2"
    (tmp_path / "demo-2").touch()
    assert demo_folder(out, settings) == tmp_path / "demo-3"
    (out / "demo.json").write_text(json.dumps(settings))
    assert demo_folder(out, settings) == out
    patient = Case("old", {Role.T1: out / "case" / "T1.nii.gz"}, simulated=True)
    patient.write(out / "case")  # a patient of whom files are missing cannot be used, and is not removed either
    assert demo_folder(out, settings) == tmp_path / "demo-3"
    (out / "case" / "T1.nii.gz").touch()  # nor can one without a DSC series, of an older version
    assert demo_folder(out, settings) == tmp_path / "demo-3"
    patient = Case("new", patient.files | {Role.DSC: out / "case" / "DSC.nii.gz"}, simulated=True)
    patient.write(out / "case", overwrite=True)
    assert demo_folder(out, settings) == tmp_path / "demo-3"
    (out / "case" / "DSC.nii.gz").touch()
    assert demo_folder(out, settings) == out
    (out / "demo.json").write_text("{")
    assert demo_folder(out, settings) == tmp_path / "demo-3"


def test_maps_figure_and_report_get_the_same_number(tmp_path):
    def named(ending):
        return tuple(tmp_path / name for name in (f"maps{ending}", f"figure{ending}.png", f"fidelity{ending}"))

    assert free_names(tmp_path) == named("")
    (tmp_path / "figure.png").touch()
    assert free_names(tmp_path) == named("-2")
    (tmp_path / "maps-2").mkdir()
    (tmp_path / "fidelity-3").mkdir()
    assert free_names(tmp_path) == named("-4")


# --- models ----------------------------------------------------------------------------------------------------------


def test_a_model_is_installed_listed_shown_verified_and_removed(capsys, monkeypatch, tmp_path, tiny_model):
    monkeypatch.setenv("HIERSYNTH_DATA", str(tmp_path / "data"))
    assert main(["models", "install", str(tiny_model)]) == 0
    installed = tmp_path / "data" / "Models" / "tiny"
    assert str(installed) in capsys.readouterr().out

    assert main(["models", "list"]) == 0
    row = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("tiny"))
    assert row.split()[:7] == ["tiny", "1.0", "user", "T1", "T2", "FLAIR", "ADC"]
    assert main(["models", "list", "--json"]) == 0
    listed = {model["name"]: model for model in json.loads(capsys.readouterr().out)["models"]}
    assert listed["tiny"]["settings"]["spacing_mm"] == [3.0, 3.0, 3.0]

    assert main(["models", "show", "tiny"]) == 0
    shown = capsys.readouterr().out
    assert "simulated training  yes" in shown
    assert main(["models", "verify", "tiny"]) == 0
    assert "unaltered" in capsys.readouterr().out

    with (installed / "model.safetensors").open("r+b") as weights:
        weights.seek(-1, os.SEEK_END)
        last = weights.read(1)
        weights.seek(-1, os.SEEK_END)
        weights.write(bytes([last[0] ^ 1]))
    assert "model.safetensors was altered" in fails_in_one_line(capsys, ["models", "verify", "tiny"])
    assert main(["models", "list"]) == 0
    row = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("tiny"))
    assert "DAMAGED" in row
    assert "model.safetensors was altered" in row
    assert main(["models", "list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert "tiny" not in {model["name"] for model in listed["models"]}
    assert "was altered" in listed["damaged"]["tiny"]

    assert main(["models", "remove", "tiny"]) == 0
    assert not installed.exists()
