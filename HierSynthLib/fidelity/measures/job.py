"""The worker's job "measure": from files to a JSON file, keeping the maps for the next one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from HierSynthLib.errors import InputError
from HierSynthLib.fidelity.measures.gridded import MapInput
from HierSynthLib.fidelity.measures.measure import Measurer
from HierSynthLib.fidelity.measures.settings import Settings
from HierSynthLib.fidelity.regions.shapes import Region
from HierSynthLib.files import atomic_file
from HierSynthLib.progress import Part, Reporter
from HierSynthLib.volume import Volume, read_volume

_FIELDS = ("name", "kind", "path", "units", "of", "transform")


class MeasureJob:
    """Measures maps in regions and keeps the maps on their grid from one job to the next."""

    def __init__(self) -> None:
        self._measurer: Measurer | None = None
        self._made_of = ""
        self._labels = _LabelFiles()

    def run(self, parameters: Mapping[str, Any], reporter: Reporter) -> dict[str, Any]:
        """Measure maps in regions and write the measurement as a JSON file, which is replaced if it exists.

        The maps are read again when their list, one of the files, the brain mask or the settings have changed.

        Args:
            parameters: "maps", a list of {"name", "kind", "path" and, if wanted, "units", "of", "transform"} as in
                `MapInput`; "brain", a path or null; "regions", a list as in `Region.from_json`; "settings" as in
                `Settings.from_json`; "plots", the names of the regions whose plots are wanted, null for all: they are
                most of the file; "output", the file to be written.
            reporter: told about the progress; asked whether to stop.

        Returns:
            {"file": output}. The file holds `Measurement.to_json()`.

        Raises:
            InputError: a parameter is missing or wrong, or a file cannot be read; see the message.
            OutputError: the file cannot be written.
            Cancelled: from the reporter.
        """
        reporter.progress("reading", 0.0)
        unknown = set(parameters) - {"maps", "brain", "regions", "settings", "plots", "output"}
        if unknown:
            raise InputError(f"Unknown parameter '{min(unknown)}' of a measurement.")
        output = _text(parameters, "output")
        settings = Settings.from_json(_mapping(parameters.get("settings", {}), "settings"))
        regions = [Region.from_json(fields) for fields in _list(parameters, "regions")]
        plotted = None if parameters.get("plots") is None else _list(parameters, "plots")
        measurer = self._measurer_for(parameters, settings, Part(reporter, 0.0, 0.4))
        measurement = measurer.measure(regions, Part(reporter, 0.4, 0.95), self._labels.read)
        self._labels.forget_unused()
        reporter.progress("writing", 0.95)
        fields = measurement.to_json()
        if plotted is not None:
            fields["plots"] = {name: plots for name, plots in measurement.plots.items() if name in plotted}
        text = json.dumps(fields, ensure_ascii=False, allow_nan=False)
        with atomic_file(Path(output), overwrite=True, durable=False) as temporary:
            temporary.write_text(text + "\n", encoding="utf-8", newline="\n")
        reporter.progress("done", 1.0)
        return {"file": output}

    def _measurer_for(self, parameters: Mapping[str, Any], settings: Settings, reporter: Reporter) -> Measurer:
        maps = [_mapping(fields, "maps") for fields in _list(parameters, "maps")]
        brain = parameters.get("brain")
        if brain is not None and not isinstance(brain, str):
            raise InputError("The brain mask of a measurement is no path.", "Give a path, or null for none.")
        paths = [Path(_text(fields, "path")) for fields in maps] + ([Path(brain)] if brain else [])
        made_of = json.dumps([maps, brain, settings.to_json(), [_state(path) for path in paths]])
        if self._measurer is None or made_of != self._made_of:
            self._measurer = None  # the old maps make room before the new ones are read
            inputs = []
            for number, fields in enumerate(maps):
                reporter.progress("reading", 0.6 * number / len(maps))
                inputs.append(_map_input(fields))
            mask = read_volume(Path(brain)) if brain else None
            self._measurer = Measurer(inputs, mask, settings, Part(reporter, 0.6, 1.0))
            self._made_of = made_of
        return self._measurer


class _LabelFiles:
    """Label maps that were read for the last measurement, so that unchanged ones are not read again."""

    def __init__(self) -> None:
        self._read: dict[Path, tuple[Any, Volume]] = {}
        self._used: set[Path] = set()

    def read(self, path: Path) -> Volume:
        """The volume of a file, read again when it has changed."""
        state = _state(path)
        if path not in self._read or self._read[path][0] != state:
            self._read[path] = (state, read_volume(path))
        self._used.add(path)
        return self._read[path][1]

    def forget_unused(self) -> None:
        """Drop the volumes that nobody asked for since the last call, unless nobody asked for any."""
        if self._used:
            self._read = {path: kept for path, kept in self._read.items() if path in self._used}
        self._used = set()


def _map_input(fields: Mapping[str, Any]) -> MapInput:
    name = _text(fields, "name")
    unknown = set(fields) - set(_FIELDS)
    if unknown:
        raise InputError(f"The map '{name}' has the unknown field '{min(unknown)}'.", f"Known: {', '.join(_FIELDS)}.")
    units, of = fields.get("units") or "", fields.get("of")
    if not isinstance(units, str) or not (of is None or isinstance(of, str)):
        raise InputError(f"units and of of the map '{name}' are not texts.")
    kind: Any = fields.get("kind")  # checked by MapInput
    return MapInput(name, kind, read_volume(Path(_text(fields, "path")), units), units, of, _transform(fields, name))


def _transform(fields: Mapping[str, Any], name: str) -> np.ndarray[Any, np.dtype[np.float64]] | None:
    given = fields.get("transform")
    if given is None:
        return None
    try:
        matrix = np.array(given, dtype=np.float64)
    except (TypeError, ValueError):
        matrix = np.zeros(0)
    if matrix.shape != (4, 4) or not np.isfinite(matrix).all() or abs(np.linalg.det(matrix)) < 1e-9:
        raise InputError(f"The transform of the map '{name}' is no 4 × 4 matrix that can be inverted.")
    return matrix


def _state(path: Path) -> list[int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return [found.st_mtime_ns, found.st_size]


def _text(fields: Mapping[str, Any], key: str) -> str:
    value = fields.get(key)
    if not isinstance(value, str) or not value:
        raise InputError(f"A measurement needs '{key}' as a text.")
    return value


def _list(fields: Mapping[str, Any], key: str) -> list[Any]:
    value = fields.get(key)
    if not isinstance(value, list):
        raise InputError(f"A measurement needs '{key}' as a list.")
    return value


def _mapping(value: object, key: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InputError(f"'{key}' of a measurement holds {value!r} instead of fields.")
    return value
