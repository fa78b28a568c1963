"""The kinds of job that the worker knows. What computes is imported when the first job needs it, not before."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from HierSynthLib.errors import InputError
from HierSynthLib.progress import Reporter
from HierSynthLib.worker.server import Job

if TYPE_CHECKING:
    from HierSynthLib.synthesis.job import Synthesizer


def standard_jobs() -> dict[str, Job]:
    """Return the job table of the worker: kind → function(parameters, reporter) that returns the result's fields."""
    return {"synthesize": _Synthesis().run, "phantom": write_phantom}


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


def write_phantom(parameters: dict[str, Any], reporter: Reporter) -> dict[str, Any]:
    """Write the case folder of a simulated patient.

    Parameters: "out" (folder), "seed", "grade" and "size" as in `HierSynthLib.phantom.write_phantom`.
    Result: "case" (the folder) and "id".
    """
    out, seed = parameters.get("out"), parameters.get("seed", 0)
    grade, size = parameters.get("grade", "high"), parameters.get("size", "full")
    if not isinstance(out, str) or not isinstance(seed, int) or not isinstance(grade, str) or not isinstance(size, str):
        raise InputError("A phantom needs out (text), seed (whole number), grade (text) and size (text).")
    reporter.progress("loading libraries", 0.0)
    from HierSynthLib.phantom import write_phantom as write_case

    case = write_case(Path(out), seed=seed, grade=grade, size=size, reporter=reporter)
    return {"case": out, "id": case.id}
