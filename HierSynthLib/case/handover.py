"""A case folder in any format as arrays for a host that must not be kept waiting while files are read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from HierSynthLib.case.examination import examine
from HierSynthLib.case.folder import Case
from HierSynthLib.case.problem import Problem
from HierSynthLib.case.roles import Role
from HierSynthLib.errors import InputError
from HierSynthLib.files import atomic_folder
from HierSynthLib.formats.common import storable
from HierSynthLib.perfusion.reading import Timing, read_timing
from HierSynthLib.perfusion.timing import index_of_frames
from HierSynthLib.progress import Reporter
from HierSynthLib.volume import Volume, read_volume, write_volume


def hand_over(source: str | Mapping[str, Any], output: Path, reporter: Reporter) -> dict[str, Any]:
    """Read a case and write its volumes as .npy with a .json beside each, in the order of VTK's memory.

    Units stay those of the files. What cannot be read is left out, and so are series over time other than DSC.

    Args:
        source: a case folder, or {"inputs": {role: path}, "units": {role: text}}.
        output: the folder to be made.
        reporter: told the stage "reading".

    Returns:
        {"id", "simulated", "volumes": {role: path}, "labels": {number as text: name}, "units": {role: text},
        "problems": [{"role", "severity", "what", "todo"}], "series": None, or of the DSC series {"frames": paths
        in their order, "index_values", "index_unit" and "attributes" as `index_of_frames` gives them}}.

    Raises:
        InputError: no such case, or none of its volumes can be read.
        OutputError: the folder cannot be written.
    """
    case = Case.open(Path(source)) if isinstance(source, str) else _case_of(source)
    wanted = [role for role in Role if role in case.files]
    series: dict[str, Any] | None = None
    volumes: dict[Role, Volume] = {}
    problems: list[Problem] = []
    with atomic_folder(output, durable=False) as folder:
        for number, role in enumerate(wanted):
            reporter.progress("reading", number / len(wanted))
            try:
                volume = read_volume(case.files[role], case.units.get(role, ""))
            except InputError as error:
                problems.append(Problem(role, "error", f"{role}: {error.message}", error.hint))
                continue
            if role == Role.DSC and volume.frames > 1:
                series = {"frames": _write_frames(volume, folder, output, reporter)}
                series |= _index_of(case.files[role], volume.frames, problems)
                continue
            if volume.frames > 1:
                what = f"{role} is a series of {volume.frames} volumes and was left out."
                problems.append(Problem(role, "warning", what, "Choose a 3-D volume."))
                continue
            array = storable(volume.array).reshape(volume.grid)
            volumes[role] = Volume(array, volume.affine, volume.units)
            write_volume(volumes[role], folder / f"{role}.npy")
        if not volumes and series is None:
            reasons = " ".join(problem.what for problem in problems)
            raise InputError(f"No volume of this case can be read. {reasons}".strip(), "Choose another folder.")
        reporter.progress("reading", 1.0)
    problems += examine(volumes, labels=case.labels, quick=True)
    return {
        "id": case.id,
        "simulated": case.simulated,
        "volumes": {str(role): str(output / f"{role}.npy") for role in volumes},
        "labels": {str(value): name for value, name in case.labels.items()},
        "units": {str(role): volume.units for role, volume in volumes.items() if volume.units},
        "problems": [
            {"role": problem.role, "severity": problem.severity, "what": problem.what, "todo": problem.todo}
            for problem in problems
        ],
        "series": series,
    }


def _write_frames(volume: Volume, folder: Path, output: Path, reporter: Reporter) -> list[str]:
    """Write each frame of a series; their paths once `folder` has become `output`."""
    array = storable(volume.array)
    files = [f"{Role.DSC}/{number:04d}.npy" for number in range(1, volume.frames + 1)]
    for number, file in enumerate(files):
        reporter.progress("reading the DSC series", number / len(files))
        write_volume(Volume(array[..., number], volume.affine), folder / file)
    return [str(output / file) for file in files]


def _index_of(path: Path, frames: int, problems: list[Problem]) -> dict[str, Any]:
    """What a node has to state of a DSC series; what its files do not say is asked for when it is processed."""
    try:
        timing = read_timing(path)
    except InputError as error:
        problems.append(Problem(Role.DSC, "warning", f"{Role.DSC}: {error.message}", error.hint))
        timing = Timing()
    values, unit, attributes = index_of_frames(frames, timing.te_s, timing.tr_s, timing.flip_deg)
    return {"index_values": values, "index_unit": unit, "attributes": attributes}


def _case_of(source: Mapping[str, Any]) -> Case:
    """A case of files that are named one by one."""
    inputs, units = source.get("inputs"), source.get("units", {})
    if not isinstance(inputs, Mapping) or not isinstance(units, Mapping) or not inputs:
        raise InputError("A case needs a folder, or inputs (role → path).", "Give one of the two.")
    for role, path in inputs.items():
        if role not in list(Role) or not isinstance(path, str):
            raise InputError(f"{role!r} is no role with a path.", f"Known are: {', '.join(Role)}.")
    return Case(
        "case",
        {Role(role): Path(path) for role, path in inputs.items()},
        {Role(role): str(text) for role, text in units.items() if role in list(Role)},
    )
