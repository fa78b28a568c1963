"""`hiersynth synthesize`: the synthetic CBV map of a case, made in the worker."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from HierSynthLib.commands.jobs import run_job, worker
from HierSynthLib.commands.options import Debug, Device, DeviceOption, Json, Model, Sequence
from HierSynthLib.commands.results import print_result, require_free
from HierSynthLib.errors import InputError

MAPS = {
    "synthetic": "synthetic CBV",
    "global": "global map",
    "residual": "residual",
    "uncertainty": "uncertainty",
}


def synthesize(
    out: Annotated[Path, typer.Option(metavar="DIR", help="New folder for the maps and run.json.")],
    case: Annotated[
        Path | None, typer.Argument(metavar="CASE", help="Case folder (case.json, or files named T1 …).")
    ] = None,
    t1: Annotated[Path | None, typer.Option("--t1", metavar="FILE", help="T1-weighted image or DICOM folder.")] = None,
    t2: Annotated[Path | None, typer.Option("--t2", metavar="FILE", help="T2-weighted image.")] = None,
    flair: Annotated[Path | None, typer.Option("--flair", metavar="FILE", help="FLAIR image.")] = None,
    adc: Annotated[Path | None, typer.Option("--adc", metavar="FILE", help="ADC map.")] = None,
    brain_mask: Annotated[Path | None, typer.Option(metavar="FILE", help="Brain mask; computed otherwise.")] = None,
    model: Model = None,
    device: DeviceOption = Device.AUTO,
    reference: Annotated[
        Sequence | None, typer.Option(help="Sequence on whose grid the maps lie; T1, or the first there is.")
    ] = None,
    register: Annotated[bool, typer.Option("--register/--no-register", help="Register to the reference.")] = True,
    refine_seed: Annotated[
        int | None,
        typer.Option(metavar="SEED", help="Let the model's refiner draw texture: plausible, not this patient's."),
    ] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Make the synthetic CBV map of a case or of image files."""
    files = {"T1": t1, "T2": t2, "FLAIR": flair, "ADC": adc, "brain_mask": brain_mask}
    given = {role: str(path.absolute()) for role, path in files.items() if path is not None}
    if case is not None and given:
        raise InputError("Both a case folder and image files are given.", "Give one or the other.")
    described = {"inputs": given} if case is None else case_parameters(case)
    parameters = described | synthesis_parameters(out, model, device) | {"register": register}
    if refine_seed is not None:
        parameters["refine_seed"] = refine_seed
    if reference is not None:
        parameters["reference"] = reference
    check_parameters(parameters)
    require_free(out)
    start = time.monotonic()
    with worker() as client:
        result, warnings = run_job(client, "synthesize", parameters, output=out, title="synthesize", debug=debug)
    seconds = time.monotonic() - start
    print_result(
        result | {"warnings": warnings, "elapsed_seconds": round(seconds, 2)},
        [*_map_lines(result), f"Made in {seconds:.1f} s. SYNTHETIC: research only, not for clinical use."],
        json=json,
    )


def case_parameters(folder: Path) -> dict[str, Any]:
    """Return the parameters of a synthesis that a case folder determines, by its case.json or by its file names.

    Raises:
        InputError: the case.json is damaged, or without one the file names do not tell which volume is which.
    """
    from HierSynthLib.case import SEQUENCES, Case, Role

    case = Case.open(folder)
    roles = [role for role in (*SEQUENCES, Role.BRAIN) if role in case.files]
    return {
        "inputs": {str(role): str(Path(case.files[role]).absolute()) for role in roles},
        "units": {str(role): case.units[role] for role in roles if role in case.units},
        "case_id": case.id,
        "simulated": case.simulated,
    }


def synthesis_parameters(out: Path, model: str | None, device: Device) -> dict[str, Any]:
    """Return the parameters of a synthesis that the options determine.

    Raises:
        ModelError: there is no such model.
    """
    from HierSynthLib.synthesis.package import DEFAULT_MODEL, find_model

    return {
        "output": str(out.absolute()),
        "model": str(find_model(model or DEFAULT_MODEL).absolute()),
        "device": str(device),
    }


def check_parameters(parameters: Mapping[str, Any]) -> None:
    """Check what can be checked before any volume is read and the worker is started.

    Raises:
        InputError: a file is missing, or the parameters do not make a synthesis.
    """
    from HierSynthLib.synthesis.request import SynthesisRequest

    files = parameters["inputs"].items()
    missing = [f"{role}: {path} does not exist." for role, path in files if not Path(path).exists()]
    if missing:
        raise InputError(" ".join(missing), "Check the name and the folder.")
    SynthesisRequest.parse(parameters)


def _map_lines(result: Mapping[str, Any]) -> list[str]:
    files = {MAPS.get(name, name): path for name, path in result["maps"].items()} | {"how it was made": result["run"]}
    width = max(map(len, files))
    return [f"{name:<{width}}  {path}" for name, path in files.items()]
