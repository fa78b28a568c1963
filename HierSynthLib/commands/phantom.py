"""`hiersynth phantom`: write a simulated patient."""

import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from HierSynthLib.commands.jobs import run_job, worker
from HierSynthLib.commands.options import Debug, Grade, GradeOption, Json, Seed, Size, SizeOption
from HierSynthLib.commands.results import print_result, require_free
from HierSynthLib.errors import InputError


class DscProtocolName(StrEnum):
    """The named protocols of `HierSynthLib.phantom.dsc_protocol`."""

    NO_PRELOAD = "no-preload"
    PRELOAD = "preload"
    LOW_FLIP_ANGLE = "low-flip-angle"
    DUAL_ECHO = "dual-echo"


def phantom(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to create for the case.")],
    seed: Seed = 1,
    grade: GradeOption = Grade.HIGH,
    size: SizeOption = Size.FULL,
    dsc: Annotated[
        bool, typer.Option("--dsc/--no-dsc", help="Whether a DSC series is simulated and CBV acquired from it.")
    ] = True,
    dsc_protocol: Annotated[
        DscProtocolName | None, typer.Option(help="How the DSC series is acquired. [no-preload]")
    ] = None,
    motion: Annotated[bool, typer.Option("--motion", help="The head moves during the DSC series.")] = False,
    drift: Annotated[bool, typer.Option("--drift", help="The scanner drifts during the DSC series.")] = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Write a simulated patient whose true CBV is known."""
    parameters = {"out": str(out.absolute()), "seed": seed, "grade": grade, "size": size, "dsc": dsc}
    chosen = {"dsc_protocol": dsc_protocol, "dsc_motion": motion or None, "dsc_drift": drift or None}
    chosen = {name: value for name, value in chosen.items() if value is not None}
    if chosen and not dsc:
        raise InputError(
            "--dsc-protocol, --motion and --drift say how the DSC series is acquired, but --no-dsc wants none.",
            "Leave out --no-dsc.",
        )
    require_free(out)
    start = time.monotonic()
    with worker() as client:
        result, warnings = run_job(client, "phantom", parameters | chosen, output=out, title="phantom", debug=debug)
    seconds = time.monotonic() - start
    print_result(
        result | {"warnings": warnings, "elapsed_seconds": round(seconds, 2)},
        [f"Simulated patient {result['id']} in {out} ({seconds:.1f} s)."],
        json=json,
    )
