"""The state of a stage as named tensors, and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from HierSynthLib.errors import InputError
from Training.engine.checkpoint import Checkpoint

OTHER = "Begin anew with --fresh, or go on with the version of HierSynth that made it."


def module_tensors(prefix: str, modules: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    """All parameters and buffers, named `prefix`.module.parameter."""
    return {f"{prefix}.{name}.{key}": v for name, module in modules.items() for key, v in module.state_dict().items()}


def load_modules(checkpoint: Checkpoint, prefix: str, modules: Mapping[str, nn.Module]) -> None:
    """Fill modules from a checkpoint.

    Raises:
        InputError: the checkpoint is of another architecture; says which tensor is missing, new or of another shape.
    """
    for name, module in modules.items():
        load_module(module, checkpoint.part(f"{prefix}.{name}"), f"{prefix}.{name}")


def load_module(module: nn.Module, stored: Mapping[str, Tensor], name: str) -> None:
    """Fill one module from tensors by the names of its own.

    Raises:
        InputError: see `load_modules`.
    """
    wanted = module.state_dict()
    for key in (*wanted, *(key for key in stored if key not in wanted)):
        problem = ""
        if key not in stored:
            problem = "is missing there"
        elif key not in wanted:
            problem = "does not exist here"
        elif stored[key].shape != wanted[key].shape:
            problem = f"has shape {tuple(stored[key].shape)} there and {tuple(wanted[key].shape)} here"
        if problem:
            raise InputError(f"The checkpoint is of another architecture: {name}.{key} {problem}.", OTHER)
    module.load_state_dict(stored)


def optimiser_tensors(prefix: str, optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """What an optimiser remembers of each parameter, named `prefix`.number.quantity."""
    return {
        f"{prefix}.{index}.{key}": value
        for index, parameter in enumerate(_parameters(optimiser))
        for key, value in optimiser.state.get(parameter, {}).items()
    }


def load_optimiser(checkpoint: Checkpoint, prefix: str, optimiser: torch.optim.Optimizer) -> None:
    """Fill an optimiser from a checkpoint; in the memory layout of its parameters, so that it computes the same bits.

    Raises:
        InputError: the checkpoint holds no such state for a parameter of this shape.
    """
    parameters = list(_parameters(optimiser))
    for name, value in checkpoint.part(prefix).items():
        index, _, key = name.partition(".")
        if not index.isdigit() or int(index) >= len(parameters):
            raise InputError(f"The checkpoint is of another architecture: {prefix}.{name} has no parameter.", OTHER)
        parameter = parameters[int(index)]
        if value.shape == parameter.shape:
            filled = torch.empty_like(parameter, memory_format=torch.preserve_format).copy_(value)
        elif value.dim() == 0:
            filled = value.to(parameter.device) if optimiser.defaults.get("fused") else value.clone()
        else:
            raise InputError(f"The checkpoint is of another architecture: {prefix}.{name} has another shape.", OTHER)
        optimiser.state[parameter][key] = filled.detach()


def _parameters(optimiser: torch.optim.Optimizer) -> Iterable[nn.Parameter]:
    for group in optimiser.param_groups:
        yield from group["params"]
