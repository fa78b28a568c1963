"""`hiersynth demo`: a simulated patient, its perfusion, its synthetic CBV map, a figure and a report on fidelity."""

import json as json_format
import time
from itertools import chain, count
from pathlib import Path
from typing import Annotated, Any

import typer

from HierSynthLib.commands.fidelity import report_case
from HierSynthLib.commands.jobs import run_job, worker
from HierSynthLib.commands.measuring import Plan
from HierSynthLib.commands.options import Debug, Device, DeviceOption, Json, Model, Seed, Size, SizeOption
from HierSynthLib.commands.perfusion import FIGURE, process_series
from HierSynthLib.commands.results import print_result, require_writable
from HierSynthLib.commands.synthesize import case_parameters, check_parameters, synthesis_parameters
from HierSynthLib.commands.terminal import Display
from HierSynthLib.errors import HierSynthError
from HierSynthLib.files import write_text_atomically
from HierSynthLib.worker.client import WorkerClient

SETTINGS = "demo.json"
"""Marks a folder as the demo's own and says which patient is in it."""

_SHOWN_QUALITY = {
    "DSC baseline": "baseline",
    "DSC signal drop": "largest drop of the brain's signal",
    "DSC voxels": "voxels that show the bolus",
    "DSC AIF": "AIF peak, width",
}
"""What is printed of the quality of the perfusion, and what the perfusion calls it."""


def demo(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for everything.")] = Path("demo"),
    size: SizeOption = Size.FULL,
    seed: Seed = 1,
    model: Model = None,
    device: DeviceOption = Device.AUTO,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Simulate a patient, process its DSC series, make its synthetic CBV map and a report on its fidelity.

    Nothing is ever overwritten: a second run keeps the patient and its perfusion, and puts its maps into maps-2, its
    figure into figure-2.png and its report into fidelity-2. A folder that holds anything else than this patient's demo
    is left alone; DIR-2 is made then.
    """
    require_writable(out)
    settings = {"seed": seed, "size": str(size)}
    folder = demo_folder(out.absolute(), settings)
    case, perfusion, (maps, figure, report) = folder / "case", folder / "perfusion", free_names(folder)
    parameters = synthesis_parameters(maps, model, device)
    clock = _Clock()
    with worker() as client:
        if not case.exists():
            phantom = {"out": str(case), "grade": "high"} | settings
            run_job(client, "phantom", phantom, output=case, title="simulating a patient", debug=debug)
        write_text_atomically(folder / SETTINGS, json_format.dumps(settings) + "\n", overwrite=True)
        clock.note("simulated patient")
        quality = _process_perfusion(client, case, perfusion, debug=debug)
        clock.note("perfusion")
        parameters |= case_parameters(case)
        check_parameters(parameters)
        result, warnings = run_job(
            client, "synthesize", parameters, output=maps, title="synthesising its CBV map", debug=debug
        )
        clock.note("synthesis")
        _draw_figure(case, maps, figure)
        clock.note("figure")
        fidelity = _report_fidelity(client, case, maps, report, debug=debug)
        clock.note("fidelity")
    files = {
        "report": fidelity["report"],
        "figure": figure,
        "CBV maps": maps,
        "perfusion": perfusion / f"{FIGURE}.png",
        "simulated patient": case,
    }
    print_result(
        result
        | {"case": case, "figure": figure, "perfusion": quality, "fidelity": fidelity, "warnings": warnings}
        | {"elapsed_seconds": clock.seconds},
        [
            *fidelity["sentences"],
            "",
            *quality["lines"],
            "",
            *(f"{name:<17}  {path}" for name, path in files.items()),
            "",
            *(f"{name:<17}  {seconds:5.1f} s" for name, seconds in clock.seconds.items()),
            "",
            fidelity["statement"],
        ],
        json=json,
    )


def _process_perfusion(client: WorkerClient, case: Path, out: Path, *, debug: bool) -> dict[str, Any]:
    """Process the DSC series of the simulated patient as `hiersynth perfusion` does, unless that has been done.

    Brain and white matter are those of the simulation, from which its acquired map was processed, too: `nrCBV` in `out`
    is that map. The head does not move during the series.

    Returns:
        {"output": folder, "quality": contents of qc.json, "lines": it in words}.
    """
    from HierSynthLib.case import Case, Role
    from HierSynthLib.perfusion.write import QC, quality_lines
    from HierSynthLib.phantom.write import DSC_BRAIN, DSC_NAWM

    if not out.exists():
        parameters = {
            "series": [str(Case.read(case).files[Role.DSC])],
            "brain": str(case / DSC_BRAIN),
            "nawm": str(case / DSC_NAWM),
            "options": {"motion": False},
            "simulated": True,
        }
        process_series(client, parameters, out, debug=debug)
    quality = json_format.loads((out / QC).read_text("utf-8"))
    numbers = dict(quality_lines(quality["numbers"]))
    lines = [f"{name:<17}  {numbers[key]}" for name, key in _SHOWN_QUALITY.items() if key in numbers]
    return {"output": out, "quality": quality, "lines": [*lines, *quality["warnings"]]}


def _draw_figure(case: Path, maps: Path, figure: Path) -> None:
    from HierSynthLib.fidelity.figures import case_figure

    with Display("drawing the figure") as display:
        display.progress("figure", 0.0)
        case_figure(case, maps, figure)
        display.progress("done", 1.0)


def _report_fidelity(client: WorkerClient, case: Path, maps: Path, out: Path, *, debug: bool) -> dict[str, Any]:
    from HierSynthLib.fidelity.measures.settings import Settings
    from HierSynthLib.fidelity.report.subject import SYNTHETIC, Choices

    return report_case(client, case, [(SYNTHETIC, maps)], Choices(), Plan(Settings()), out, debug=debug)


class _Clock:
    """Seconds per step, and of all steps together."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._start = self._last = time.monotonic()

    def note(self, step: str) -> None:
        """End a step."""
        now = time.monotonic()
        self.seconds.pop("all", None)
        self.seconds |= {step: round(now - self._last, 1), "all": round(now - self._start, 1)}
        self._last = now


def demo_folder(out: Path, settings: dict[str, Any]) -> Path:
    """Return the first of `out`, `out`-2, `out`-3, … that is free, empty or holds the demo of the same patient."""
    numbered = (out.with_name(f"{out.name}-{number}") for number in count(2))
    return next(folder for folder in chain([out], numbered) if _is_usable(folder, settings))


def free_names(folder: Path) -> tuple[Path, Path, Path]:
    """Return the first of maps, maps-2, …, figure.png, … and fidelity, … with the same number that are all free."""
    endings = chain([""], (f"-{number}" for number in count(2)))
    names = ((f"maps{ending}", f"figure{ending}.png", f"fidelity{ending}") for ending in endings)
    found = ((folder / maps, folder / figure, folder / report) for maps, figure, report in names)
    return next(three for three in found if not any(path.exists() for path in three))


def is_whole(case: Path) -> bool:
    """Whether a case folder is there with all its files, a DSC series among them."""
    from HierSynthLib.case import Case, Role

    try:
        files = Case.read(case).files
        return Role.DSC in files and all(Path(path).exists() for path in files.values())
    except HierSynthError:
        return False


def _is_usable(folder: Path, settings: dict[str, Any]) -> bool:
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return True
    case = folder / "case"
    return _settings(folder) == settings and (is_whole(case) or not case.exists())


def _settings(folder: Path) -> Any:
    try:
        return json_format.loads((folder / SETTINGS).read_text("utf-8"))
    except (OSError, ValueError):
        return None
