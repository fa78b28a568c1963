"""From a prepared case to CBV maps: slices through the network, in batches, on the chosen device."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from HierSynthLib.case import Role
from HierSynthLib.errors import DeviceError, InputError
from HierSynthLib.progress import Reporter
from HierSynthLib.synthesis.device import batch_size, deterministic, is_out_of_memory, precision
from HierSynthLib.synthesis.memory import reused_memory
from HierSynthLib.synthesis.model import LoadedModel
from HierSynthLib.synthesis.networks import Synthesis
from HierSynthLib.synthesis.refiner import refine, start_slices
from HierSynthLib.synthesis.slices import SliceStacks, occupied_slices

STAGE = "synthesis"

# Activations alive at one time, in multiples of the input's size: the skips of both modules, measured with margin.
ACTIVATIONS = 12


@dataclass(frozen=True)
class Maps:
    """The result on the working grid; each (I, J, K) float32 in nrCBV, 0 outside the brain.

    `synthetic` = `global_map` + `residual` to rounding; `uncertainty` is the half-width of the interval that covers the
    share `interval` of the errors on the model's calibration data (of the map as it is without the refiner).
    """

    synthetic: NDArray[np.float32]
    global_map: NDArray[np.float32]
    residual: NDArray[np.float32]
    uncertainty: NDArray[np.float32]
    interval: float
    device: torch.device


def synthesise(
    sequences: Mapping[Role, NDArray[np.floating]],
    brain: NDArray[np.bool_],
    model: LoadedModel,
    device: torch.device,
    reporter: Reporter,
    slices: Sequence[int] | None = None,
    refine_seed: int | None = None,
) -> Maps:
    """Run the network over every slice that contains brain.

    z = 0 and no noise inputs: the same input, model, device and seed of the refiner give the same result. When the
    device's memory is full the batch is halved, and at one slice the work moves to the CPU; both are reported as
    warnings.

    Args:
        sequences: normalised volumes (I, J, K) on the working grid, by role.
        brain: (I, J, K), the brain on the working grid.
        model: the network and its settings.
        device: where to compute.
        reporter: told about the stage "synthesis".
        slices: indices k of the only slices wanted; None for all. The others stay 0.
        refine_seed: seed of the texture that the model's refiner adds; None for the plain map.

    Raises:
        InputError: the model has no refiner.
        DeviceError: the machine's memory does not suffice either.
        Cancelled: from the reporter.
    """
    settings = model.settings
    if refine_seed is not None:
        require_refiner(model)
    stacks = SliceStacks(
        sequences,
        brain,
        order=settings.sequences,
        slices=model.options.slices,
        step=settings.slice_step,
        multiple=model.stride,
    )
    centres = occupied_slices(brain)
    if slices is not None:
        centres = np.intersect1d(centres, slices)
    outputs = np.zeros((3, brain.shape[2], *stacks.shape), np.float32)

    def run(batch: Sequence[int], on: torch.device) -> None:
        picture = torch.from_numpy(stacks.batch(batch)).to(on, memory_format=torch.channels_last)
        with precision(on):
            network = model.on(on)
            result: Synthesis = network(picture)
            if refine_seed is not None:
                estimate = result.final * picture[:, -1:]
                state = start_slices(estimate, batch, refine_seed)
                refined = refine(network.get_submodule("refiner"), picture, estimate, state)
                result = result._replace(residual=refined - result.global_map)
        planes = torch.cat([result.global_map, result.residual, result.log_scale], dim=1).float().cpu().numpy()
        for plane in range(3):
            outputs[plane, batch] = stacks.unpad(planes[:, plane])

    with torch.inference_mode(), deterministic(), reused_memory():
        slice_bytes = 4 * math.prod(stacks.padded) * model.options.inputs * ACTIVATIONS
        used = _in_batches(run, [int(k) for k in centres], device, batch_size(device, slice_bytes), reporter)

    base, residual, log_scale = (np.moveaxis(planes, 0, 2) * brain for planes in outputs)
    # The sum is clipped to what CBV can be (training does not clip: there it would stop gradients); the global map is
    # clipped on its own, and the stored residual is what is left.
    synthetic = np.clip(base + residual, 0.0, settings.ceiling)
    global_map = np.clip(base, 0.0, settings.ceiling)
    # Laplace error of scale b: P(|e| > t) = exp(−t/b), so the interval's half-width is −b·ln(1 − interval).
    half_width = -math.log1p(-settings.interval) * settings.uncertainty_scale
    uncertainty = np.minimum(np.exp(log_scale) * half_width, settings.ceiling) * brain
    return Maps(
        synthetic=synthetic,
        global_map=global_map,
        residual=synthetic - global_map,
        uncertainty=uncertainty.astype(np.float32),
        interval=settings.interval,
        device=used,
    )


def require_refiner(model: LoadedModel) -> None:
    """Refuse a model without a refiner.

    Raises:
        InputError: it has none.
    """
    if not hasattr(model.network, "refiner"):
        name = model.info.name if model.info else "this one"
        raise InputError(f"The model {name} has no refiner.", "Leave out the seed of the refiner.")


def _in_batches(
    run: Callable[[Sequence[int], torch.device], None],
    centres: Sequence[int],
    device: torch.device,
    size: int,
    reporter: Reporter,
) -> torch.device:
    """Call `run` on all `centres`; shrink the batch, then leave the device, when memory is full; returns the device."""
    done = 0
    reporter.progress(STAGE, 0.0)
    while done < len(centres):
        try:
            run(centres[done : done + size], device)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if device.type == "cuda":
                torch.cuda.empty_cache()
            if size > 1:
                size //= 2
                reporter.warning(f"The memory of {device.type} is full; going on with {size} slice(s) at a time.")
            elif device.type != "cpu":
                reporter.warning(f"The memory of {device.type} is full; going on with the CPU, which is slower.")
                device, size = torch.device("cpu"), batch_size(torch.device("cpu"), 0)
            else:
                raise DeviceError(
                    "The machine's memory is full even for one slice.", "Close other programs and run again."
                ) from error
            continue
        done += len(centres[done : done + size])
        reporter.progress(STAGE, done / len(centres))
    return device
