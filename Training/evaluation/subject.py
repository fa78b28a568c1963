"""A patient on the grid on which everything is measured, and as the models read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from HierSynthLib.case import REFERENCE_LABEL, SEQUENCES, Role
from HierSynthLib.errors import InputError
from HierSynthLib.preparation import Grid, PreparedCase, prepare, resample
from HierSynthLib.progress import Part, Reporter
from HierSynthLib.volume import Volume
from Training.evaluation.cases import CaseSource, LoadedCase
from Training.evaluation.predictor import Prediction, Predictor
from Training.evaluation.settings import EvaluationSettings

Mask = NDArray[np.bool_]
Map = NDArray[np.float32]
Spacing = tuple[float, float, float]

# A voxel belongs to a tissue when this share of it does; the rest is partial volume. Vessels would hide grey matter.
PURE = 0.9
MOST_VESSEL = 0.01
_FEWEST_VOXELS = 50


@dataclass(frozen=True, eq=False)
class Subject:
    """A patient, ready to be measured.

    Attributes:
        id, simulated, grade: as the source has them.
        target_name: "true" or "acquired".
        grid: of everything below, (I, J, K).
        target: nrCBV, cut off at the ceiling, 0 outside the brain.
        brain: voxels of the brain at which the target has a value.
        roi: lesion voxels of the brain; without any where there is no lesion.
        tissues: "grey" and "white" matter without vessels and lesion; empty where nobody knows them.
        anatomy: FLAIR, or the first sequence there is, normalised, for pictures.
        prepared: by the models' voxel size.
        warnings: sentences.
    """

    id: str
    simulated: bool
    grade: str | None
    target_name: str
    grid: Grid
    target: Map
    brain: Mask
    roi: Mask
    tissues: dict[str, Mask]
    anatomy: Map
    prepared: dict[Spacing, PreparedCase]
    warnings: tuple[str, ...]

    def predict(self, model: Predictor, reporter: Reporter, without: frozenset[Role] = frozenset()) -> Prediction:
        """A model's maps on the grid of the subject.

        Args:
            model: to be run on its own grid.
            reporter: told about the progress.
            without: sequences that are left out.

        Raises:
            InputError: no sequence is left that the model reads.
        """
        case = self.prepared[model.spacing_mm]
        given = {
            role: case.sequences[role] for role in model.sequences if role in case.sequences and role not in without
        }
        if not given:
            names = ", ".join(map(str, model.sequences))
            raise InputError(f"The case has none of the sequences that the model reads ({names}).", "Leave it out.")
        found = model.predict(given, case.brain, reporter)
        if case.grid.same(self.grid):
            return found
        uncertainty = None if found.uncertainty is None else self._moved(found.uncertainty, case)
        return found._replace(synthetic=self._moved(found.synthetic, case), uncertainty=uncertainty)

    def _moved(self, values: Map, case: PreparedCase) -> Map:
        """A map on this grid; a mean over the brain's voxels only, as the zeros around it would darken its rim."""

        def here(array: Map) -> Map:
            return np.asarray(resample(array, case.affine, self.grid.shape, self.grid.affine), np.float32)

        share = here(case.brain.astype(np.float32))
        return np.where(
            share > 1e-3, here(np.where(case.brain, values, 0).astype(np.float32)) / np.maximum(share, 1e-3), 0
        )


def make_subject(
    source: CaseSource, spacings: list[Spacing], settings: EvaluationSettings, reporter: Reporter
) -> Subject:
    """Load a case, prepare it once for each voxel size, and bring the target to the grid of the measurement.

    Args:
        source: of the case.
        spacings: voxel sizes of the models.
        settings: of the evaluation.
        reporter: told about the progress.

    Raises:
        InputError: the case cannot be used.
        Cancelled: from the reporter.
    """
    loaded = source.load(settings.target, Part(reporter, 0.0, 0.5))
    own = measuring_spacing(spacings, settings)
    prepared = _prepared(loaded, list(dict.fromkeys([own, *spacings])), settings, Part(reporter, 0.5, 0.9))
    home = prepared[own]
    grid = home.grid
    lesion = _lesion(loaded, grid) & home.brain
    target, brain = loaded.target.on(home, lesion, Part(reporter, 0.9, 1.0))
    if not brain.any():
        raise InputError(f"The case {source.id}: its target has no value inside the brain.", "Check its position.")
    lesion &= brain
    sequence = next(role for role in (Role.FLAIR, *SEQUENCES) if role in home.sequences)
    return Subject(
        id=source.id,
        simulated=source.simulated,
        grade=source.grade,
        target_name=loaded.target_name,
        grid=grid,
        target=np.where(brain, np.clip(target, 0.0, settings.ceiling), 0).astype(np.float32),
        brain=brain,
        roi=lesion,
        tissues=_tissues(loaded, grid, brain & ~lesion),
        anatomy=home.sequences[sequence],
        prepared=prepared,
        warnings=loaded.warnings,
    )


def measuring_spacing(spacings: list[Spacing], settings: EvaluationSettings) -> Spacing:
    """Voxel edges of the grid on which everything is measured: that of the settings, else the finest."""
    if settings.spacing_mm is not None:
        return (settings.spacing_mm,) * 3
    return min(spacings, key=lambda edges: float(np.prod(edges)))


def _prepared(
    loaded: LoadedCase, spacings: list[Spacing], settings: EvaluationSettings, reporter: Reporter
) -> dict[Spacing, PreparedCase]:
    """The case for each voxel size; what was registered for the first is not registered again."""
    found: dict[Spacing, PreparedCase] = {}
    volumes: Mapping[Role, Volume] = {
        role: loaded.volumes[role] for role in (*SEQUENCES, Role.BRAIN) if role in loaded.volumes
    }
    reference = next((role for role in SEQUENCES if role in volumes), None)
    if reference is None:
        raise InputError("The case has no sequence that a model could read.", "Give T1, T2, FLAIR or ADC.")
    for number, spacing in enumerate(spacings):
        part = Part(reporter, number / len(spacings), (number + 1) / len(spacings))
        register = settings.register and not loaded.still and not number
        found[spacing] = case = prepare(
            volumes, reference=reference, spacing_mm=spacing, register=register, reporter=part
        )
        if not number:
            volumes = {role: _moved(volume, case.transforms.get(role)) for role, volume in volumes.items()}
    return found


def _moved(volume: Volume, transform: NDArray[np.float64] | None) -> Volume:
    """The volume where a registration has found it to lie."""
    return volume if transform is None else replace(volume, affine=np.linalg.inv(transform) @ volume.affine)


def _lesion(loaded: LoadedCase, grid: Grid) -> Mask:
    labels = loaded.volumes.get(Role.ROI)
    if labels is None:
        return np.zeros(grid.shape, dtype=bool)
    here = resample(labels.array, labels.affine, grid.shape, grid.affine, interpolation="nearest")
    reference = [value for value, name in loaded.labels.items() if name == REFERENCE_LABEL]
    return np.asarray((here > 0) & ~np.isin(here, reference))


def _tissues(loaded: LoadedCase, grid: Grid, where: Mask) -> dict[str, Mask]:
    if not loaded.tissues:
        return {}
    share = {
        name: resample(volume.array.astype(np.float32), volume.affine, grid.shape, grid.affine)
        for name, volume in loaded.tissues.items()
    }
    free = where & (share["vessel"] < MOST_VESSEL)
    masks = {short: free & (share[f"{short}_matter"] > PURE) for short in ("grey", "white")}
    return masks if all(np.count_nonzero(mask) >= _FEWEST_VOXELS for mask in masks.values()) else {}
