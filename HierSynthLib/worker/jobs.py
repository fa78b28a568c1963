"""The kinds of job that the worker knows. What computes is imported when the first job needs it, not before."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from HierSynthLib.errors import InputError
from HierSynthLib.progress import Reporter
from HierSynthLib.worker.server import Job

if TYPE_CHECKING:
    from HierSynthLib.fidelity.measures.job import MeasureJob
    from HierSynthLib.synthesis.job import Synthesizer


def standard_jobs() -> dict[str, Job]:
    """Return the job table of the worker: kind → function(parameters, reporter) that returns the result's fields."""
    return {
        "synthesize": _Synthesis().run,
        "phantom": write_phantom,
        "read_case": read_case,
        "compare": compare,
        "measure": _Measurement().run,
        "suggest_regions": suggest_regions,
        "perfusion": perfusion,
        "study_create": study_create,
        "runtime": runtime,
    }


class _Synthesis:
    """Keeps the synthesizer, and with it the loaded model, from one job to the next."""

    def __init__(self) -> None:
        self._synthesizer: Synthesizer | None = None

    def run(self, parameters: dict[str, Any], reporter: Reporter) -> dict[str, Any]:
        """Synthesise the maps of one case; the parameters and the result are those of `Synthesizer.run`."""
        if self._synthesizer is None:
            reporter.progress("loading libraries", 0.0)
            from HierSynthLib.synthesis.job import Synthesizer

            self._synthesizer = Synthesizer()
        return self._synthesizer.run(parameters, reporter)


class _Measurement:
    """Keeps the maps on their grid from one measurement to the next, so that a changed ROI is measured at once."""

    def __init__(self) -> None:
        self._job: MeasureJob | None = None

    def run(self, parameters: dict[str, Any], reporter: Reporter) -> dict[str, Any]:
        """Measure maps in regions; the parameters and the result are those of `MeasureJob.run`."""
        if self._job is None:
            reporter.progress("loading libraries", 0.0)
            from HierSynthLib.fidelity.measures.job import MeasureJob

            self._job = MeasureJob()
        return self._job.run(parameters, reporter)


def write_phantom(parameters: dict[str, Any], reporter: Reporter) -> dict[str, Any]:
    """Write the case folder of a simulated patient.

    Parameters: "out" (folder), "seed", "grade", "size", "misalignment", "dsc", "dsc_protocol", "dsc_motion" and
    "dsc_drift" as in `HierSynthLib.phantom.write_phantom`.
    Result: "case" (the folder) and "id".
    """
    out, seed = parameters.get("out"), parameters.get("seed", 0)
    grade, size = parameters.get("grade", "high"), parameters.get("size", "full")
    if not isinstance(out, str) or not isinstance(seed, int) or not isinstance(grade, str) or not isinstance(size, str):
        raise InputError("A phantom needs out (text), seed (whole number), grade (text) and size (text).")
    switches = {name: parameters.get(name, True) for name in ("misalignment", "dsc")}
    switches |= {name: parameters[name] for name in ("dsc_motion", "dsc_drift") if name in parameters}
    for name, value in switches.items():
        if not isinstance(value, bool):
            raise InputError(f"The parameter '{name}' of a phantom is true or false.")
    protocol = {"dsc_protocol": parameters["dsc_protocol"]} if "dsc_protocol" in parameters else {}
    if not all(isinstance(name, str) for name in protocol.values()):
        raise InputError("The parameter 'dsc_protocol' of a phantom is text.")
    reporter.progress("loading libraries", 0.0)
    from HierSynthLib.phantom import write_phantom as write_case

    case = write_case(Path(out), seed=seed, grade=grade, size=size, **switches, **protocol, reporter=reporter)
    return {"case": out, "id": case.id}


def read_case(parameters: dict[str, Any], reporter: Reporter) -> dict[str, Any]:
    """Read a case in any format and write its volumes as arrays.

    Parameters: "case" (folder, or {"inputs": {role: path}}) and "output" (folder to be made).
    Result: see `HierSynthLib.case.handover.hand_over`.
    """
    case, output = parameters.get("case"), parameters.get("output")
    if not isinstance(case, str | dict) or not isinstance(output, str):
        raise InputError("Reading a case needs case (folder or inputs) and output (text).")
    from HierSynthLib.case.handover import hand_over

    return hand_over(case, Path(output), reporter)


def compare(parameters: dict[str, Any], reporter: Reporter) -> dict[str, Any]:
    """Compare a synthetic map with an acquired one.

    Parameters: "synthetic" and "acquired" (files), "output" (folder to be made), "square_mm" (of the checkerboard).
    Result: see `HierSynthLib.fidelity.compare.compare_files`.
    """
    names = ("synthetic", "acquired", "output")
    paths = [parameters.get(name) for name in names]
    square_mm = parameters.get("square_mm", 20.0)
    if not all(isinstance(path, str) for path in paths) or not isinstance(square_mm, int | float):
        raise InputError(f"A comparison needs {', '.join(names)} (texts) and square_mm (number).")
    reporter.progress("loading libraries", 0.0)
    from HierSynthLib.fidelity.compare import compare_files

    synthetic, acquired, output = (Path(str(path)) for path in paths)
    return compare_files(synthetic, acquired, output, float(square_mm), reporter)


def suggest_regions(parameters: dict[str, Any], reporter: Reporter) -> dict[str, Any]:
    """Suggest the NAWM reference and hotspots; see `HierSynthLib.fidelity.regions.suggest.suggest_regions`."""
    reporter.progress("loading libraries", 0.0)
    from HierSynthLib.fidelity.regions.suggest import suggest_regions as suggest

    return suggest(parameters, reporter)


def perfusion(parameters: dict[str, Any], reporter: Reporter) -> dict[str, Any]:
    """Process a DSC series; the parameters and the result are those of `HierSynthLib.perfusion.job.run_job`."""
    reporter.progress("loading libraries", 0.0)
    from HierSynthLib.perfusion.job import run_job

    return run_job(parameters, reporter)


def study_create(parameters: dict[str, Any], reporter: Reporter) -> dict[str, Any]:
    """Make a reader study; parameters and result are those of `HierSynthLib.reader_study.from_files.run_job`."""
    reporter.progress("loading libraries", 0.0)
    from HierSynthLib.reader_study.from_files import run_job

    return run_job(parameters, reporter)


def runtime(parameters: dict[str, Any], reporter: Reporter) -> dict[str, Any]:
    """Describe this Python; works whatever is missing in it.

    Parameters: "devices" (whether to import torch and list what it can compute on).
    Result: see `HierSynthLib.worker.runtime.describe_runtime`.
    """
    reporter.progress("checking", 0.0)
    from HierSynthLib.worker.runtime import describe_runtime

    return describe_runtime(devices=bool(parameters.get("devices", False)))
