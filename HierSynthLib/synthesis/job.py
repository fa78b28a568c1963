"""One synthesis from files to files: what the worker runs for the panel and for the command line."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from HierSynthLib.case import CBV_UNITS, SEQUENCES, Role, load_case, require_usable
from HierSynthLib.errors import InputError
from HierSynthLib.files import atomic_folder
from HierSynthLib.preparation import PreparedCase, prepare, to_reference
from HierSynthLib.progress import Part, Reporter
from HierSynthLib.synthesis.device import choose_device, describe_device
from HierSynthLib.synthesis.model import LoadedModel, load_model
from HierSynthLib.synthesis.package import find_model, verify_model
from HierSynthLib.synthesis.pipeline import Maps, require_refiner, synthesise
from HierSynthLib.synthesis.provenance import describe_run
from HierSynthLib.synthesis.request import SynthesisRequest
from HierSynthLib.volume import Volume, write_volume

# Maps are stored in steps of 1/1024 nrCBV: far below any noise, exact in float32 (so that the stored synthetic map is
# exactly global + residual), and half the size on disk.
STEPS_PER_NRCBV = 1024

MAP_FILES = {
    "synthetic": "CBV_synthetic",
    "global": "CBV_global",
    "residual": "CBV_residual",
    "uncertainty": "CBV_uncertainty",
}


class Synthesizer:
    """Runs synthesis jobs and keeps the model loaded from one to the next."""

    def __init__(self) -> None:
        self._model: LoadedModel | None = None

    def run(self, parameters: Mapping[str, Any], reporter: Reporter) -> dict[str, Any]:
        """Synthesise the maps of one case and write them into a new folder.

        Args:
            parameters: see `SynthesisRequest.parse`.
            reporter: told about progress and warnings; asked whether to stop.

        Returns:
            {"output": folder, "maps": {"synthetic" | "global" | "residual" | "uncertainty": file}, "brain": file,
            "run": file of run.json, "seconds": {stage: seconds}}.

        Raises:
            InputError, ModelError, DeviceError, OutputError: see their messages; nothing is left half-written.
            Cancelled: from the reporter.
        """
        request = SynthesisRequest.parse(parameters)
        seconds: dict[str, float] = {}
        noted = _Noting(reporter)
        # Arrays are for a client that reads them at once: nothing is gained from waiting for the disk.
        to_keep = request.format != "npy"
        with atomic_folder(request.output, durable=to_keep) as folder, _timed(seconds, "total"):
            noted.progress("loading model", 0.0)
            with _timed(seconds, "loading model"):
                device = choose_device(request.device)
                model = self._load(request.model)
                if request.refine_seed is not None:
                    require_refiner(model)
            noted.progress("reading", 0.02)
            with _timed(seconds, "reading"):
                volumes = _read(request, model, noted)
            reference = request.reference or _first(volumes)
            _warn(request, reference, model, noted)
            with _timed(seconds, "preparation"):
                prepared = prepare(
                    volumes,
                    reference=reference,
                    spacing_mm=model.settings.spacing_mm,
                    register=request.register,
                    reporter=Part(noted, 0.05, 0.45),
                )
            _warn_of_mask(prepared, noted)
            with _timed(seconds, "synthesis"):
                maps = synthesise(
                    prepared.sequences,
                    prepared.brain,
                    model,
                    device,
                    Part(noted, 0.45, 0.9),
                    refine_seed=request.refine_seed,
                )
            with _timed(seconds, "writing"):
                names = _write(folder, maps, prepared, volumes[reference], request, Part(noted, 0.9, 1.0))
            assert model.info is not None  # load_model always fills it  # noqa: S101
            run = describe_run(
                case=request.case,
                volumes=volumes,
                prepared=prepared,
                reference=reference,
                model=model.info,
                device=describe_device(maps.device),
                interval=maps.interval,
                refine_seed=request.refine_seed,
                files=names,
                seconds=seconds | {f"preparation: {stage}": value for stage, value in prepared.seconds.items()},
                warnings=noted.warnings,
            )
            (folder / "run.json").write_text(json.dumps(run, indent=2, ensure_ascii=False) + "\n", "utf-8")
            noted.progress("done", 1.0)
        output = request.output
        return {
            "output": str(output),
            "maps": {key: str(output / names[key]) for key in MAP_FILES},
            "brain": str(output / names["brain"]),
            "run": str(output / "run.json"),
            "seconds": {stage: round(value, 3) for stage, value in seconds.items()},
        }

    def _load(self, name: str) -> LoadedModel:
        """The model called `name`; verified at every job, loaded only when it is another one than last time."""
        folder = find_model(name)
        loaded = self._model
        if loaded is None or loaded.info != verify_model(folder):
            self._model = loaded = load_model(folder)
        return loaded


class _Noting:
    """Passes everything on and remembers the warnings for run.json, each once."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self.warnings: list[str] = []

    def progress(self, stage: str, fraction: float) -> None:
        """Pass on the progress."""
        self._reporter.progress(stage, fraction)

    def warning(self, message: str) -> None:
        """Pass on and remember the warning."""
        if message not in self.warnings:
            self.warnings.append(message)
            self._reporter.warning(message)


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    begun = time.perf_counter()
    yield
    seconds[stage] = time.perf_counter() - begun


def _read(request: SynthesisRequest, model: LoadedModel, reporter: Reporter) -> dict[Role, Volume]:
    wanted = [*model.settings.sequences, Role.BRAIN]
    volumes, problems = load_case(
        request.case, wanted, reference=request.reference, reporter=Part(reporter, 0.02, 0.05)
    )
    require_usable(problems)
    for problem in problems:
        reporter.warning(f"{problem.what} {problem.todo}".strip())
    return volumes


def _first(volumes: Mapping[Role, Volume]) -> Role:
    for role in SEQUENCES:
        if role in volumes:
            return role
    raise InputError("None of the sequences given is one that the model reads.", "Choose another model.")


def _warn(request: SynthesisRequest, reference: Role, model: LoadedModel, reporter: Reporter) -> None:
    if request.reference is None and reference != SEQUENCES[0]:
        reporter.warning(f"T1 is missing: the maps lie on the grid of {reference}.")
    if request.refine_seed is not None:
        reporter.warning("The refiner has added texture that is plausible, but not this patient's.")
    if model.settings.simulated_training and not request.case.simulated:
        reporter.warning(
            "The model has only seen simulated brains: "
            "this map shows that the pipeline runs, not the patient's blood volume."
        )


def _warn_of_mask(prepared: PreparedCase, reporter: Reporter) -> None:
    if prepared.mask_quality.rating != "good":
        reporter.warning(f"Brain mask ({prepared.mask_quality.rating}): {prepared.mask_quality.words}")


def _write(
    folder: Path, maps: Maps, prepared: PreparedCase, reference: Volume, request: SynthesisRequest, reporter: Reporter
) -> dict[str, str]:
    """Put the maps onto the reference's grid and write them; returns file names by map."""

    def stored(array: NDArray[np.float32]) -> NDArray[np.float32]:
        back = to_reference(array, prepared)
        return np.asarray(np.round(back * STEPS_PER_NRCBV) / STEPS_PER_NRCBV, dtype=np.float32)

    mark = "SYNTHETIC, SIMULATED" if request.case.simulated else "SYNTHETIC"
    synthetic, global_map = stored(maps.synthetic), stored(maps.global_map)
    arrays: dict[str, NDArray[Any]] = {
        "synthetic": synthetic,
        "global": global_map,
        "residual": synthetic - global_map,
        "uncertainty": stored(maps.uncertainty),
    }
    names = {}
    for done, (key, stem) in enumerate(MAP_FILES.items()):
        reporter.progress("writing", done / (len(MAP_FILES) + 1))
        names[key] = f"{stem}.{request.format}"
        volume = Volume(arrays[key], reference.affine, CBV_UNITS)
        write_volume(volume, folder / names[key], description=f"{mark} {stem} [nrCBV], research only")
    brain = to_reference(prepared.brain.astype(np.float32), prepared) > 0.5
    names["brain"] = f"brain_mask.{request.format}"
    write_volume(Volume(brain.astype(np.uint8), reference.affine, "label"), folder / names["brain"])
    reporter.progress("writing", 1.0)
    return names
