"""`hiersynth phantom`: write a simulated patient."""

import time
from pathlib import Path
from typing import Annotated

import typer

from HierSynthLib.commands.jobs import run_job, worker
from HierSynthLib.commands.options import Debug, Grade, GradeOption, Json, Seed, Size, SizeOption
from HierSynthLib.commands.results import print_result, require_free


def phantom(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to create for the case.")],
    seed: Seed = 1,
    grade: GradeOption = Grade.HIGH,
    size: SizeOption = Size.FULL,
    dsc: Annotated[
        bool, typer.Option("--dsc/--no-dsc", help="Whether a DSC series is simulated and CBV acquired from it.")
    ] = True,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Write a simulated patient whose true CBV is known."""
    require_free(out)
    start = time.monotonic()
    with worker() as client:
        parameters = {"out": str(out.absolute()), "seed": seed, "grade": grade, "size": size, "dsc": dsc}
        result, warnings = run_job(client, "phantom", parameters, output=out, title="phantom", debug=debug)
    seconds = time.monotonic() - start
    print_result(
        result | {"warnings": warnings, "elapsed_seconds": round(seconds, 2)},
        [f"Simulated patient {result['id']} in {out} ({seconds:.1f} s)."],
        json=json,
    )
