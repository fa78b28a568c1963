"""Slices for the steps of a training: which ones is a function of seed, step and place in the batch."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from HierSynthLib.case import SEQUENCES
from HierSynthLib.errors import InputError
from HierSynthLib.synthesis.slices import SliceStacks
from Training.datasets.patient import Patient

if TYPE_CHECKING:
    from Training.config import TrainingConfig

Batch = dict[str, Tensor]

TARGETS = ("cbv", "low_pass", "brain", "lesion")
LESION_SHARE = 0.5
"""Of a patient with a lesion, this share of the slices passes through it (design value)."""


class SliceSampler:
    """Draws random slices of random patients, each mirrored left–right with probability ½.

    A batch is a function of seed and step alone, so that nothing has to be saved for a training to go on, and several
    processes draw disjoint parts of the same batch.

    Args:
        patients: at least one; their arrays are read slice by slice.
        config: number and distance of the neighbouring slices.
        multiple: pictures are padded to multiples of this: the network's stride.
        seed: of the draws.

    Raises:
        InputError: there is no patient, or nothing in one of them.

    Attributes:
        shape: (H, W) of all pictures: the largest patient's, padded.
        area: mean over all slices of all patients with known CBV of the number of voxels in which it is known; losses
            are divided by it.
    """

    def __init__(self, patients: Sequence[Patient], config: TrainingConfig, multiple: int, seed: int) -> None:
        if not patients:
            raise InputError("There is no patient to train on.", "See the data report for what was left out and why.")
        self._patients, self._multiple, self._seed = tuple(patients), multiple, seed
        self._offsets = (np.arange(config.network.slices) - config.network.slices // 2) * config.slice_step
        counts = [patient.slice_counts() for patient in patients]
        self._known = [np.flatnonzero(count.known) for count in counts]
        self._lesion = [np.flatnonzero((count.lesion > 0) & (count.known > 0)) for count in counts]
        for patient, known in zip(patients, self._known, strict=True):
            if not len(known):
                raise InputError(f"No CBV is known in {patient.id}.", "Leave it out (exclude), or prepare it again.")
        sizes = np.array([patient.brain.shape[:2] for patient in patients])
        high, wide = (int(-(-size // multiple) * multiple) for size in sizes.max(axis=0))
        self.shape = (high, wide)
        self.area = float(np.mean(np.concatenate([c.known[k] for c, k in zip(counts, self._known, strict=True)])))

    def batch(self, step: int, size: int, rank: int = 0, world: int = 1) -> Batch:
        """The slices of one step.

        Args:
            step: number of the step.
            size: slices in the whole batch.
            rank: number of this process, from 0.
            world: number of processes, each of which takes an equal run of consecutive slices.

        Returns:
            float32 tensors: "x" (B, C, H, W) as `SliceStacks.batch` makes it; "cbv", "low_pass", "brain" (where the CBV
            is known) and "lesion" (B, 1, H, W). B is size/world.

        Raises:
            ValueError: the size is no multiple of `world`, or there is no such rank.
        """
        if size < 1 or size % world or not 0 <= rank < world:
            raise ValueError(f"A batch of {size} slices cannot be divided for process {rank} of {world}.")
        share = size // world
        slices = [self._slice(step, index) for index in range(rank * share, (rank + 1) * share)]
        return {name: torch.from_numpy(np.stack([one[name] for one in slices])) for name in ("x", *TARGETS)}

    def _slice(self, step: int, index: int) -> dict[str, NDArray[np.float32]]:
        random = np.random.default_rng((self._seed, step, index))
        n = int(random.integers(len(self._patients)))
        through_lesion, mirrored = random.random() < LESION_SHARE, random.random() < 0.5
        choices = self._lesion[n] if through_lesion and len(self._lesion[n]) else self._known[n]
        pictures = self.pictures(self._patients[n], int(choices[random.integers(len(choices))]))
        return {name: self._placed(picture, mirrored) for name, picture in pictures.items()}

    def pictures(self, patient: Patient, k: int) -> dict[str, NDArray[np.float32]]:
        """The slice `k` of a patient as the network gets it, padded to its own multiple only: "x" and the targets."""
        depth = patient.brain.shape[2]
        near = np.clip(k + self._offsets, 0, depth - 1)
        stacks = SliceStacks(
            {role: np.stack([array[:, :, n] for n in near], axis=2) for role, array in patient.sequences.items()},
            np.stack([patient.brain[:, :, n] for n in near], axis=2),
            order=SEQUENCES,
            slices=len(near),
            step=1,
            multiple=self._multiple,
        )
        (top, left), (i, j) = stacks.padding, stacks.shape
        result = {"x": stacks.batch([len(near) // 2])[0]}
        for name, volume in zip(
            TARGETS, (patient.cbv, patient.low_pass, patient.target_mask, patient.lesion), strict=True
        ):
            picture = np.zeros((1, *stacks.padded), np.float32)
            picture[0, top : top + i, left : left + j] = volume[:, :, k]
            result[name] = picture
        result["lesion"] *= result["brain"]
        return result

    def _placed(self, picture: NDArray[np.float32], mirrored: bool) -> NDArray[np.float32]:
        space = np.zeros((picture.shape[0], *self.shape), np.float32)
        space[:, : picture.shape[1], : picture.shape[2]] = picture[:, ::-1] if mirrored else picture
        return space


class Prefetcher:
    """Draws the batches of consecutive steps in a thread, some steps ahead; use it as a context manager.

    Args:
        sampler: draws them.
        steps: numbers of the steps, in order.
        size, rank, world: as for `SliceSampler.batch`.
        depth: how many batches wait at most.
    """

    def __init__(
        self, sampler: SliceSampler, steps: Iterable[int], size: int, rank: int = 0, world: int = 1, depth: int = 4
    ) -> None:
        self._sampler, self._steps, self._share = sampler, steps, (size, rank, world)
        self._waiting: queue.Queue[tuple[int, Batch] | BaseException | None] = queue.Queue(depth)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, name="slices", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._stopped.set()
        self._thread.join()

    def __iter__(self) -> Iterator[tuple[int, Batch]]:
        """Step and batch, in order; raises here what was raised in the thread."""
        while (item := self._waiting.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item

    def _work(self) -> None:
        try:
            for step in self._steps:
                if not self._put((step, self._sampler.batch(step, *self._share))):
                    return
            self._put(None)
        except BaseException as error:  # handed to the thread that iterates
            self._put(error)

    def _put(self, item: tuple[int, Batch] | BaseException | None) -> bool:
        """Wait for room; False if nobody wants the item any more."""
        while not self._stopped.is_set():
            try:
                self._waiting.put(item, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False
