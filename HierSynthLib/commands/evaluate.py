"""`hiersynth evaluate`: models over a cohort of cases, or over phantoms made on the fly."""

from __future__ import annotations

import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from HierSynthLib.commands.jobs import interrupts
from HierSynthLib.commands.options import Debug, Device, DeviceOption, Json
from HierSynthLib.commands.results import print_result, require_writable
from HierSynthLib.commands.terminal import Display
from HierSynthLib.errors import Cancelled, InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from Training.evaluation.cases import Chosen
    from Training.evaluation.predictor import Method

TITLE = "evaluate"


class Target(StrEnum):
    """What the maps are compared with."""

    AUTO = "auto"
    TRUE = "true"
    ACQUIRED = "acquired"


class Robustness(StrEnum):
    """Which sequences are left out."""

    NONE = "none"
    SINGLE = "single"
    PAIRS = "pairs"


def evaluate(
    model: Annotated[
        list[str],
        typer.Option(
            metavar="[NAME=]MODEL[,MODEL…]",
            help="Installed model or model folder; repeat it to compare. Several after one name: trainings that differ "
            "by their seed.",
        ),
    ],
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="New folder, or that of an evaluation which shall go on or grow.")
    ],
    cases: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="CASE…",
            help="Case folders with an acquired or true CBV map, or their folder; with --data that of the data set.",
        ),
    ] = None,
    reference: Annotated[
        str | None, typer.Option(metavar="NAME", help="Model that the others are compared with, patient by patient.")
    ] = None,
    texture_reference: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Model that descriptors are compared with: one that was trained with the texture terms, too.",
        ),
    ] = None,
    target: Annotated[
        Target, typer.Option(help="CBV map to compare with; auto: true where there, else acquired.")
    ] = Target.AUTO,
    data: Annotated[
        str | None, typer.Option(metavar="NAME", help="Data set in CASE, e.g. upenn-gbm, with its own rules.")
    ] = None,
    splits: Annotated[
        Path | None, typer.Option(metavar="FILE", help="With --data: division of the patients that the training made.")
    ] = None,
    split: Annotated[
        str, typer.Option(help="With --data or --split-of: train, validation, calibration, test; or all.")
    ] = "test",
    config: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="With --data: settings of the training, instead of those in the models."),
    ] = None,
    fold: Annotated[
        int | None,
        typer.Option(metavar="N", help="With --data: fold of a cross-validation, from 0. [that of the models]"),
    ] = None,
    phantoms: Annotated[int, typer.Option(min=0, help="Evaluate on so many phantoms, made on the fly.")] = 0,
    split_of: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Phantoms that this model's training has kept apart: its seeds and grades."),
    ] = None,
    first_seed: Annotated[int | None, typer.Option(min=0, help="Seed of the first phantom. [9000000]")] = None,
    spacing: Annotated[
        float | None, typer.Option(metavar="MM", help="Voxel size of the phantoms. [the finest of the models']")
    ] = None,
    phantom_grades: Annotated[
        str | None, typer.Option(metavar="high,low,…", help="Grades of the phantoms, in turn. [high,low]")
    ] = None,
    moved: Annotated[
        bool,
        typer.Option("--moved", help="Phantoms move between the sequences, and their brain mask has to be found."),
    ] = False,
    thin: Annotated[
        bool, typer.Option("--thin", help="No phantom has thick slices; otherwise three of ten do, as in training.")
    ] = False,
    grid: Annotated[
        float | None, typer.Option(metavar="MM", help="Voxel size of the measurement. [the finest of the models']")
    ] = None,
    ceiling: Annotated[float, typer.Option(help="The target is cut off at this nrCBV; inf leaves it.")] = 10.0,
    data_range: Annotated[float, typer.Option(help="Range of SSIM, PSNR and NRMSE: 0 to this, nrCBV.")] = 6.0,
    register: Annotated[
        bool, typer.Option("--register/--no-register", help="Register the sequences of a case.")
    ] = True,
    robustness: Annotated[
        Robustness, typer.Option(help="Leave out each sequence in turn, and each pair.")
    ] = Robustness.SINGLE,
    robustness_cases: Annotated[int, typer.Option(min=0, help="Cases with a lesion that are used for it.")] = 12,
    pictures: Annotated[int, typer.Option(min=0, help="Cases that are shown in pictures.")] = 3,
    grades: Annotated[Path | None, typer.Option(metavar="FILE.csv", help="Grades of cases, columns id,grade.")] = None,
    grading: Annotated[bool, typer.Option("--grading/--no-grading", help="Make the grading experiment.")] = True,
    device: DeviceOption = Device.AUTO,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Compare models over many patients: fidelity, fine structure, uncertainty, missing sequences, speed, grading.

    Every finished row is kept, so that the same command goes on after Ctrl-C.
    """
    _require_training()
    from HierSynthLib.fidelity.cohort.cohort import high_or_low, read_grades
    from HierSynthLib.synthesis.device import choose_device
    from Training.evaluation.evaluate import evaluate as run
    from Training.evaluation.phantom_choice import PhantomOptions, choose_phantoms
    from Training.evaluation.predictor import open_methods
    from Training.evaluation.settings import EvaluationSettings
    from Training.evaluation.trained_on import require_unseen

    settings = EvaluationSettings(
        target=str(target),
        spacing_mm=grid,
        data_range=data_range,
        ceiling=ceiling,
        register=register,
        robustness=str(robustness),
        robustness_cases=robustness_cases,
        pictures=pictures,
    )
    require_writable(out)
    methods = open_methods(model, choose_device(str(device)))
    wanted = PhantomOptions(phantoms, split_of, split, first_seed, spacing, phantom_grades, moved, thin)
    made, drawn = choose_phantoms(wanted, methods)
    chosen = _data_set(data, cases or [], methods, splits, split, config, fold) if data else _folders(cases or [])
    found = [*chosen.cases, *made]
    told = [*chosen.warnings, *require_unseen(methods, found, chosen.division, split)]
    given = {case: high_or_low(grade) or "" for case, grade in (read_grades(grades) if grades else {}).items()}
    command = {
        "models": [f"{each.name}: {', '.join(model.title for model in each.trainings)}" for each in methods],
        "reference": reference,
        "texture reference": texture_reference,
        **drawn,
        **chosen.command,
        "cases": len(found),
        "device": str(device),
    }
    start = time.monotonic()
    with interrupts() as pressed, Display(TITLE) as display:
        for warning in told:
            display.warning(warning)
        result = run(
            found,
            methods,
            out,
            settings,
            reference=reference,
            texture_reference=texture_reference,
            grades=given,
            with_grading=grading,
            excluded=chosen.excluded,
            warnings=told,
            command=command,
            reporter=_Stopping(display, pressed),
        )
    seconds = time.monotonic() - start
    shown = {name: result[name] for name in ("report", "patients_csv", "summary_csv", "json", "table")}
    print_result(
        {name: result[name] for name in ("output", *shown, "simulated", "decisions", "excluded", "warnings")}
        | {"elapsed_seconds": round(seconds, 2)},
        [*_sentences(result), *(f"{name:<12}  {path}" for name, path in shown.items()), _end(result, seconds)],
        json=json,
    )


class _Stopping:
    """Shows the progress, and stops at the next report after Ctrl-C."""

    def __init__(self, display: Display, pressed: Sequence[int]) -> None:
        self._display, self._pressed = display, pressed

    def progress(self, stage: str, fraction: float) -> None:
        """Show it; raise `Cancelled` after Ctrl-C."""
        if self._pressed:
            raise Cancelled
        self._display.progress(stage, fraction)

    def warning(self, message: str) -> None:
        """Show it."""
        self._display.warning(message)


def _require_training() -> None:
    try:
        import Training.evaluation  # noqa: F401
    except ImportError as error:
        raise InputError(
            "The evaluation needs the package Training, which is not installed here.",
            "Install HierSynthLib[training], or run it from a source checkout.",
        ) from error


def _folders(folders: list[Path]) -> Chosen:
    """The cases that are named, and those that cannot be read."""
    from HierSynthLib.case.finding import find_cases
    from Training.evaluation.cases import Chosen, open_folders

    missing = [folder for folder in folders if not folder.exists()]
    if missing:
        raise InputError(f"{missing[0]} does not exist.", "Check the name of the case folder.")
    opened, excluded = open_folders([case for folder in folders for case in find_cases(folder) or [folder]])
    return Chosen(opened, excluded)


def _data_set(
    name: str,
    folders: list[Path],
    methods: Sequence[Method],
    splits: Path | None,
    split: str,
    config: Path | None,
    fold: int | None,
) -> Chosen:
    from Training.evaluation.dataset_cases import dataset_cases
    from Training.evaluation.trained_on import data_settings

    if len(folders) != 1:
        raise InputError("--data needs one folder, that of the data set.", "Write: evaluate FOLDER --data NAME …")
    return dataset_cases(data_settings(name, folders[0], methods, config, fold), splits, split)


def _sentences(result: Mapping[str, Any]) -> list[str]:
    lines = [f"{e['method']}: {e['status']}: {e['text']}: {e['because']}" for e in result["decisions"]]
    grading = result["grading"]
    if grading and grading["note"]:
        lines.append(grading["note"])
    return [*lines, *([""] if lines else [])]


def _end(result: Mapping[str, Any], seconds: float) -> str:
    from Training.evaluation.markdown import people

    words = f"{people(result)} evaluated in {seconds:.1f} s. {result['statement']}"
    return f"{words} {result['simulated_statement']}".strip()
