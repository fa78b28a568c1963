"""`hiersynth perfusion`: CBV and its relatives from a DSC series, made in the worker."""

from __future__ import annotations

import json as json_format
import re
import time
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from HierSynthLib.commands.jobs import run_job, worker
from HierSynthLib.commands.options import Debug, Json
from HierSynthLib.commands.results import print_result, require_free
from HierSynthLib.commands.terminal import Display, one_line
from HierSynthLib.errors import HierSynthError, InputError
from HierSynthLib.worker.client import WorkerClient

FIGURE = "figure"
STATEMENT = "Research only, not for clinical use."
BY_HAND = (
    "Without an arterial input function there is relative CBV only. Give voxels of an artery with --aif I,J,K "
    "(once per voxel, as 3D Slicer counts them), or a mask with --aif FILE."
)
"""What to do when none was found."""

_MAIN = ("nrCBV", "rCBV_standardised", "rCBV", "CBV", "CBF", "MTT", "Tmax", "K2")
_VOXEL = re.compile(r"\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*")


class Leakage(StrEnum):
    """How leakage is corrected."""

    BSW = "bsw"
    BIDIRECTIONAL = "bidirectional"
    NONE = "none"


class DeconvolutionMethod(StrEnum):
    """How flow is computed."""

    OSVD = "osvd"
    CSVD = "csvd"
    SSVD = "ssvd"


def perfusion(
    dsc: Annotated[
        list[Path],
        typer.Argument(metavar="DSC [DSC2]", help="DSC series: 4-D file or DICOM folder; for dual echo one per echo."),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="New folder for maps, curves, quality and figure.")],
    te: Annotated[
        list[float] | None,
        typer.Option(metavar="S", help="Echo time in seconds, once per echo. [from DICOM or the JSON beside the file]"),
    ] = None,
    tr: Annotated[float | None, typer.Option(metavar="S", help="Time between frames in seconds. [likewise]")] = None,
    flip: Annotated[
        float | None, typer.Option(metavar="DEG", help="Flip angle in degrees, for the record. [likewise]")
    ] = None,
    brain: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Brain mask; found in the series otherwise.")
    ] = None,
    nawm: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Mask of normal-appearing white matter; without it there is no nrCBV."),
    ] = None,
    nawm_label: Annotated[
        int | None, typer.Option(metavar="N", help="Value of the white matter in that file, if it holds several.")
    ] = None,
    aif: Annotated[
        list[str] | None,
        typer.Option(
            metavar="I,J,K|FILE",
            help="Voxel of an artery, counted from 0 as in 3D Slicer; repeat it. Or a mask on the grid of the series. "
            "[found automatically]",
        ),
    ] = None,
    motion: Annotated[bool | None, typer.Option("--motion/--no-motion", help="Undo movement. [on]")] = None,
    leakage: Annotated[Leakage | None, typer.Option(help="Leakage correction. [bsw]")] = None,
    deconvolution: Annotated[DeconvolutionMethod | None, typer.Option(help="For CBF, MTT and Tmax. [osvd]")] = None,
    gamma_fit: Annotated[
        bool | None, typer.Option("--gamma-fit/--no-gamma-fit", help="CBV from a fitted gamma-variate, too. [off]")
    ] = None,
    integration: Annotated[
        float | None,
        typer.Option(metavar="S", help="Integrate so long after the bolus arrives. [to the end of the series]"),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="NAME=VALUE", help="Any other option (docs/perfusion.md names them all); repeat it."
        ),
    ] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Compute CBV, CBF, MTT, Tmax and leakage from a DSC series, with curves, quality and a figure."""
    named = {
        "motion": motion,
        "leakage": None if leakage is None else str(leakage),
        "deconvolution": None if deconvolution is None else str(deconvolution),
        "gamma_fit": gamma_fit,
        "integration_s": integration,
    }
    options = _settings(settings or []) | {name: value for name, value in named.items() if value is not None}
    files = {"brain": brain, "nawm": nawm}
    parameters: dict[str, Any] = {
        "series": [str(path.absolute()) for path in dsc],
        **{name: str(path.absolute()) for name, path in files.items() if path is not None},
        **_artery(aif or []),
        "options": options,
        "simulated": any(_is_simulated(each) for each in dsc),
    }
    numbers = {"te_s": te or None, "tr_s": tr, "flip_deg": flip, "nawm_label": nawm_label}
    parameters |= {name: value for name, value in numbers.items() if value is not None}
    check_parameters(parameters)
    require_free(out)
    start = time.monotonic()
    with worker() as client:
        result, warnings = process_series(client, parameters, out, debug=debug)
    seconds = time.monotonic() - start
    if result["aif"] is None:
        warnings.append(BY_HAND)
    print_result(
        result | {"warnings": warnings, "elapsed_seconds": round(seconds, 2)},
        _lines(result, out, seconds, simulated=parameters["simulated"]),
        json=json,
    )


def check_parameters(parameters: Mapping[str, Any]) -> None:
    """Check what can be checked before any image is read and the worker is started.

    Raises:
        InputError: a file is missing, there are more than two echoes, or a value is out of range.
    """
    from HierSynthLib.perfusion.options import Options
    from HierSynthLib.perfusion.series import TE_RANGE_S, TR_RANGE_S, check_timing

    series = parameters["series"]
    others = [parameters[name] for name in ("brain", "nawm", "aif_mask") if name in parameters]
    missing = [f"{path} does not exist." for path in (*series, *others) if not Path(path).exists()]
    if missing:
        raise InputError(" ".join(missing), "Check the name and the folder.")
    if len(series) > 2:
        raise InputError(f"{len(series)} series are given.", "Give one, or one per echo of a dual-echo series.")
    times = parameters.get("te_s")
    if times is not None and len(times) != len(series):
        raise InputError(
            f"{len(series)} series and {len(times)} echo times are given.", "Give --te once per series, in its order."
        )
    # What is not given stands in the files, which the worker reads.
    check_timing(times or [TE_RANGE_S[0]], parameters.get("tr_s", TR_RANGE_S[0]))
    if not 0 < parameters.get("flip_deg", 90.0) <= 180:
        raise InputError(f"A flip angle of {parameters['flip_deg']:g}° is out of range.", "Give it in degrees.")
    if "nawm_label" in parameters and "nawm" not in parameters:
        raise InputError("--nawm-label is given without --nawm.", "Give the file, too.")
    Options.from_json(parameters["options"])


def process_series(
    client: WorkerClient, parameters: dict[str, Any], out: Path, *, debug: bool = False
) -> tuple[dict[str, Any], list[str]]:
    """Process a DSC series in the worker and add the figure; the folder is there whole, or not at all.

    Args:
        client: of the worker.
        parameters: of the job "perfusion", without "output".
        out: the folder to be made.
        debug: whether the worker's log is shown.

    Returns:
        The job's result with the paths in `out` and {"figure": {"png": path, "svg": path}}, and its warnings.

    Raises:
        JobError: what the worker reported.
        Cancelled: after Ctrl-C.
        OutputError: the folder cannot be made.
    """
    from HierSynthLib.files import atomic_folder

    with atomic_folder(out) as folder:
        try:
            result, warnings = run_job(
                client,
                "perfusion",
                parameters | {"output": str(folder)},
                output=folder,
                title="perfusion",
                debug=debug,
            )
        except HierSynthError as error:  # the user knows the folder by its own name
            error.message = error.message.replace(str(folder), str(out))
            raise
        _draw(folder)
    target = out.absolute()
    moved = {
        "output": str(target),
        **{
            kind: {name: str(target / Path(path).name) for name, path in result[kind].items()}
            for kind in ("maps", "masks")
        },
        **{name: str(target / Path(result[name]).name) for name in ("curves", "qc", "run", "description")},
        "figure": {kind: str(target / f"{FIGURE}.{kind}") for kind in ("png", "svg")},
    }
    return result | moved, warnings


def _draw(folder: Path) -> None:
    from HierSynthLib.perfusion.figure import perfusion_figure, save_figure

    with Display("drawing the figure") as display:
        display.progress("figure", 0.0)
        save_figure(perfusion_figure(folder), folder / FIGURE)
        display.progress("done", 1.0)


def _lines(result: Mapping[str, Any], out: Path, seconds: float, *, simulated: bool) -> list[str]:
    from HierSynthLib.perfusion.write import quality_lines

    numbers = quality_lines(result["quality"]["numbers"])
    files = {name: result["maps"][name] for name in _MAIN if name in result["maps"]}
    units = {name: f"{name} [{result['units'][name]}]" for name in files}
    files = {units[name]: path for name, path in files.items()}
    files |= {"figure": result["figure"]["png"], "curves": result["curves"], "quality": result["qc"]}
    files |= {"how it was made": result["run"]}
    width = max(map(len, (*files, *(name for name, _ in numbers))))
    more = [] if result["aif"] is not None else ["", one_line(BY_HAND)]
    others = len(result["maps"]) - len(units)
    return [
        *(f"{name:<{width}}  {value}" for name, value in numbers),
        "",
        *(f"{name:<{width}}  {path}" for name, path in files.items()),
        *([f"{others} more maps are in {out}; maps.json names them all."] if others else []),
        *more,
        "",
        f"Made in {seconds:.1f} s. {'SIMULATED patient. ' if simulated else ''}{STATEMENT}",
    ]


def _settings(given: list[str]) -> dict[str, Any]:
    """The options of --set; a value is a number, true, false, null or a word."""
    values: dict[str, Any] = {}
    for each in given:
        name, equals, text = each.partition("=")
        if not equals or not name.strip():
            raise InputError(f"--set {each} is not NAME=VALUE.", "Write for example --set late_frames=8.")
        try:
            values[name.strip()] = json_format.loads(text)
        except ValueError:
            values[name.strip()] = text.strip()
    return values


def _artery(given: list[str]) -> dict[str, Any]:
    """The parameters that --aif determines: voxels, or a mask."""
    voxels = [match for each in given if (match := _VOXEL.fullmatch(each))]
    files = [each for each in given if not _VOXEL.fullmatch(each)]
    if not given:
        return {}
    if not files:
        return {"aif_voxels": [[int(index) for index in match.groups()] for match in voxels]}
    if not Path(files[0]).exists():
        raise InputError(
            f"--aif {files[0]} is neither three whole numbers I,J,K nor a file.",
            "Write for example --aif 61,70,9, or give a mask on the grid of the series.",
        )
    if len(given) > 1:
        raise InputError("--aif is given more than once, and not only with voxels.", "Give voxels, or one mask.")
    return {"aif_mask": str(Path(files[0]).absolute())}


def _is_simulated(series: Path) -> bool:
    """Whether the series says that it is simulated, or lies in the case folder of a simulated patient."""
    from HierSynthLib.case import Case
    from HierSynthLib.perfusion.reading import is_simulated

    try:
        if is_simulated(series):
            return True
    except HierSynthError:
        pass  # the worker says what is wrong with it
    try:
        return Case.read(series.absolute().parent).simulated
    except HierSynthError:
        return False
