"""Simulated patients as training slices: made once, prepared as for inference, cached, drawn at random."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from HierSynthLib.case import REFERENCE_LABEL, SEQUENCES, Role
from HierSynthLib.files import atomic_file
from HierSynthLib.phantom import GENERATOR_VERSION, make_phantom
from HierSynthLib.preparation import VERSION as PREPARATION_VERSION
from HierSynthLib.preparation import prepare, resample
from HierSynthLib.synthesis.slices import SliceStacks, occupied_slices
from Training.config import TrainingConfig


@dataclass(frozen=True)
class Patient:
    """A prepared patient: (I, J, K) on the working grid; CBV in nrCBV, cut off at the ceiling, 0 outside the brain.

    Values may be float16, as they come from the cache: a cohort shall fit into a workstation's memory.
    """

    seed: int
    sequences: dict[Role, NDArray[np.floating]]
    brain: NDArray[np.bool_]
    lesion: NDArray[np.bool_]
    cbv: NDArray[np.floating]
    low_pass: NDArray[np.floating]


def make_patient(seed: int, grade: str, config: TrainingConfig) -> Patient:
    """Simulate and prepare one patient.

    Phantoms are made without motion between sequences, so the registration step, which would only find identity, is
    left out. Three of ten have thick slices.
    """
    phantom = make_phantom(seed=seed, grade=grade, size=config.data.size, misalignment=False, thick_slices=None)
    volumes = {role: phantom.volumes[role] for role in (*SEQUENCES, Role.BRAIN)}
    spacing = (config.spacing_mm[0], config.spacing_mm[1], config.spacing_mm[2])
    prepared = prepare(volumes, spacing_mm=spacing, register=False)
    grid: tuple[Any, Any] = (prepared.brain.shape, prepared.affine)

    truth = phantom.volumes[Role.CBV_TRUE]
    cbv = resample(truth.array, truth.affine, *grid).astype(np.float32)
    cbv = np.clip(cbv, 0.0, config.target.ceiling) * prepared.brain
    labels = phantom.volumes[Role.ROI]
    roi = resample(labels.array, labels.affine, *grid, interpolation="nearest")
    tumour = [label for label, name in phantom.labels.items() if name != REFERENCE_LABEL]
    return Patient(
        seed=seed,
        sequences=dict(prepared.sequences),
        brain=prepared.brain,
        lesion=np.isin(roi, tumour) & prepared.brain,
        cbv=cbv,
        low_pass=low_pass(cbv, prepared.brain, config.target.low_pass_mm / np.asarray(spacing)),
    )


def low_pass(cbv: NDArray[np.float32], brain: NDArray[np.bool_], sigma: NDArray[np.float64]) -> NDArray[np.float32]:
    """Gaussian mean over the brain only, G(cbv·brain)/G(brain): the edge of the brain is not darkened by the air."""
    weight = ndimage.gaussian_filter(brain.astype(np.float32), sigma)
    smooth = ndimage.gaussian_filter(cbv * brain, sigma)
    result: NDArray[np.float32] = np.where(brain, smooth / np.maximum(weight, 1e-3), 0).astype(np.float32)
    return result


def load_patients(config: TrainingConfig, cache: Path, workers: int) -> tuple[list[Patient], list[Patient]]:
    """The patients to train on and the held-out ones; what is not in `cache` yet is made there, `workers` at a time."""
    cache.mkdir(parents=True, exist_ok=True)
    count = config.data.phantoms + config.data.held_out
    jobs = [(config.data.first_seed + n, config.data.grades[n % len(config.data.grades)]) for n in range(count)]
    paths = [cache / f"{_key(seed, grade, config)}.npz" for seed, grade in jobs]
    missing = [
        (seed, grade, config, path) for (seed, grade), path in zip(jobs, paths, strict=True) if not path.exists()
    ]
    if len(missing) > 1 and workers > 1:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            for done, _ in enumerate(pool.map(_make_file, missing), start=1):
                print(f"patient {done} of {len(missing)} made", flush=True)
    else:
        for item in missing:
            _make_file(item)
    patients = [_read(path, seed) for path, (seed, _) in zip(paths, jobs, strict=True)]
    return patients[: config.data.phantoms], patients[config.data.phantoms :]


def _key(seed: int, grade: str, config: TrainingConfig) -> str:
    """Names a patient by everything that decides how it looks."""
    target = dataclasses.asdict(config.target)
    parts = [seed, grade, config.data.size, config.spacing_mm, target, GENERATOR_VERSION, PREPARATION_VERSION]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:20]


def _make_file(item: tuple[int, str, TrainingConfig, Path]) -> None:
    seed, grade, config, path = item
    patient = make_patient(seed, grade, config)
    arrays: dict[str, NDArray[Any]] = {str(role): array.astype(np.float16) for role, array in patient.sequences.items()}
    arrays |= {name: getattr(patient, name).astype(np.float16) for name in ("cbv", "low_pass")}
    arrays |= {"brain": patient.brain, "lesion": patient.lesion}
    with atomic_file(path) as temporary, temporary.open("wb") as stream:
        np.savez(stream, allow_pickle=False, **arrays)


def _read(path: Path, seed: int) -> Patient:
    with np.load(path, allow_pickle=False) as stored:
        return Patient(
            seed=seed,
            sequences={role: stored[str(role)] for role in SEQUENCES if str(role) in stored},
            brain=stored["brain"],
            lesion=stored["lesion"],
            cbv=stored["cbv"],
            low_pass=stored["low_pass"],
        )


@dataclass(frozen=True)
class Batch:
    """Slices for one step: `x` (B, C, H, W), the others (B, 1, H, W), all float32."""

    x: NDArray[np.float32]
    cbv: NDArray[np.float32]
    low_pass: NDArray[np.float32]
    brain: NDArray[np.float32]
    lesion: NDArray[np.float32]


class SliceSampler:
    """Draws random slices of random patients; half of those of a patient with a lesion pass through it."""

    def __init__(self, patients: Sequence[Patient], config: TrainingConfig, multiple: int, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self._patients = patients
        self._stacks = [
            SliceStacks(
                patient.sequences,
                patient.brain,
                order=SEQUENCES,
                slices=config.network.slices,
                step=config.slice_step,
                multiple=multiple,
            )
            for patient in patients
        ]
        self._occupied = [occupied_slices(patient.brain) for patient in patients]
        self._lesion = [occupied_slices(patient.lesion) for patient in patients]
        self._shape = tuple(max(stack.padded[axis] for stack in self._stacks) for axis in (0, 1))

    def draw(self, count: int) -> Batch:
        """`count` slices, all padded to the largest patient, each mirrored left–right with probability ½."""
        drawn = [self._one() for _ in range(count)]
        return Batch(*(np.stack(parts) for parts in zip(*drawn, strict=True)))

    def _one(self) -> list[NDArray[np.float32]]:
        n = int(self._random.integers(len(self._patients)))
        patient, stacks = self._patients[n], self._stacks[n]
        through_lesion = len(self._lesion[n]) > 0 and self._random.random() < 0.5
        k = int(self._random.choice(self._lesion[n] if through_lesion else self._occupied[n]))
        planes = [stacks.batch([k])[0]]
        for volume in (patient.cbv, patient.low_pass, patient.brain, patient.lesion):
            planes.append(self._padded(volume[None, :, :, k].astype(np.float32), stacks))
        mirrored = self._random.random() < 0.5
        result = []
        for plane in planes:
            space = np.zeros((plane.shape[0], *self._shape), np.float32)
            space[:, : plane.shape[1], : plane.shape[2]] = plane[:, ::-1] if mirrored else plane
            result.append(space)
        return result

    @staticmethod
    def _padded(plane: NDArray[np.float32], stacks: SliceStacks) -> NDArray[np.float32]:
        (top, left), (i, j) = stacks.padding, stacks.shape
        return np.pad(plane, ((0, 0), (top, stacks.padded[0] - i - top), (left, stacks.padded[1] - j - left)))
