"""What a synthesis job is asked to do, checked before anything is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from HierSynthLib.case import SEQUENCES, Case, Role
from HierSynthLib.errors import InputError
from HierSynthLib.synthesis.package import DEFAULT_MODEL

FORMATS = ("nii.gz", "npy")
LARGEST_SEED = 2**32 - 1


@dataclass(frozen=True)
class SynthesisRequest:
    """One synthesis.

    Attributes:
        case: the sequences by role (and `Role.BRAIN` for a given brain mask), their units where known, whether they
            are simulated.
        output: folder to be made; must not exist or be empty.
        model: name of an installed model, or a model folder.
        device: "auto", "cpu", "cuda" or "mps".
        reference: sequence on whose grid the maps shall lie; None takes T1, else the first one given.
        register: whether the other sequences are registered to the reference.
        format: "nii.gz", or "npy" for a client that wants arrays.
        refine_seed: seed of the texture that the model's refiner adds; None for the plain map.
    """

    case: Case
    output: Path
    model: str = DEFAULT_MODEL
    device: str = "auto"
    reference: Role | None = None
    register: bool = True
    format: str = "nii.gz"
    refine_seed: int | None = None

    @staticmethod
    def parse(parameters: Mapping[str, Any]) -> SynthesisRequest:
        """Read the parameters of a job as they come from the worker's client.

        Raises:
            InputError: a parameter is missing, unknown or of the wrong kind; no sequence is given.
        """
        known = {
            "inputs": dict,
            "units": dict,
            "output": str,
            "model": str,
            "device": str,
            "reference": str,
            "register": bool,
            "format": str,
            "case_id": str,
            "simulated": bool,
            "refine_seed": int,
        }
        for key, value in parameters.items():
            if key not in known:
                raise InputError(f"Unknown parameter '{key}' of a synthesis.", f"Known are: {', '.join(known)}.")
            if not isinstance(value, known[key]) and not (key in ("reference", "refine_seed") and value is None):
                raise InputError(f"Parameter '{key}' of a synthesis is {value!r}.", f"Give a {known[key].__name__}.")
        if "output" not in parameters or "inputs" not in parameters:
            raise InputError("A synthesis needs 'inputs' and 'output'.", "Give both.")
        files = {role: Path(path) for role, path in _texts(parameters, "inputs").items()}
        if not any(role in files for role in SEQUENCES):
            raise InputError("No sequence is given.", f"Give at least one of {', '.join(SEQUENCES)}.")
        units = _texts(parameters, "units")
        reference = parameters.get("reference")
        chosen = _role(reference) if reference else None
        if chosen is not None and (chosen not in files or chosen not in SEQUENCES):
            raise InputError(f"The reference {chosen} is not among the sequences given.", "Choose one that is.")
        form = parameters.get("format", "nii.gz")
        if form not in FORMATS:
            raise InputError(f"Unknown output format '{form}'.", f"Choose one of: {', '.join(FORMATS)}.")
        seed = parameters.get("refine_seed")
        if seed is not None and (isinstance(seed, bool) or not 0 <= seed <= LARGEST_SEED):
            raise InputError(f"Seed of the refiner: {seed!r} is none.", f"Give a whole number, 0 to {LARGEST_SEED}.")
        case = Case(
            id=parameters.get("case_id", "case"),
            files=files,
            units=units,
            simulated=bool(parameters.get("simulated", False)),
        )
        return SynthesisRequest(
            case=case,
            output=Path(parameters["output"]),
            model=parameters.get("model") or DEFAULT_MODEL,
            device=parameters.get("device") or "auto",
            reference=chosen,
            register=bool(parameters.get("register", True)),
            format=form,
            refine_seed=seed,
        )


def _texts(parameters: Mapping[str, Any], key: str) -> dict[Role, str]:
    texts = {_role(name): text for name, text in parameters.get(key, {}).items()}
    for role, text in texts.items():
        if not isinstance(text, str):
            raise InputError(f"Parameter '{key}' of a synthesis is {text!r} for {role}.", "Give a str.")
    return texts


def _role(name: str) -> Role:
    try:
        return Role(name)
    except ValueError as error:
        raise InputError(f"Unknown role '{name}'.", f"Known are: {', '.join(Role)}.") from error
