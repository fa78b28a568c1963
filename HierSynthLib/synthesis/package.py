"""Model packages: folders of verified files. Finding, checking, installing and removing them needs no torch.

A package is a MONAI Bundle with safetensors weights:

    configs/metadata.json    who, what for, trained on what; the block "hiersynth" is what the pipeline needs
    configs/inference.json   the shape of the network
    model.safetensors        the weights
    docs/README.md           the model card
    LICENSE                  the licence of the weights
    SHA256SUMS               a SHA-256 of every other file, verified before anything is loaded
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from HierSynthLib.case import Role
from HierSynthLib.errors import ModelError
from HierSynthLib.folders import resources_folder, user_data_folder

T = TypeVar("T")

FORMAT_VERSION = 1
METADATA = "configs/metadata.json"
INFERENCE = "configs/inference.json"
WEIGHTS = "model.safetensors"
CHECKSUMS = "SHA256SUMS"
DEFAULT_MODEL = "hiersynth-demo"

LARGEST_SCALE = 100.0
"""Of `ModelSettings.uncertainty_scale`; a network whose scale is further off has not learnt it."""

REINSTALL = "Install the model again from its source."


@dataclass(frozen=True)
class ModelSettings:
    """What the pipeline must know of a model.

    Attributes:
        sequences: roles in the order of the network's input channels.
        spacing_mm: voxel size of the working grid (left–right, posterior–anterior, inferior–superior).
        slice_step: distance of neighbouring slices in voxels of the working grid.
        ceiling: largest nrCBV that the model can return.
        interval: share of the errors that the uncertainty map's half-width covers, e.g. 0.8.
        uncertainty_scale: factor on the network's Laplace scale that makes `interval` true on the calibration data.
        simulated_training: the model has only seen simulated brains.
        preparation: version of the preparation (mask, grid, normalisation) that the model was trained with.
    """

    sequences: tuple[Role, ...]
    spacing_mm: tuple[float, float, float]
    slice_step: int
    ceiling: float
    interval: float
    uncertainty_scale: float
    simulated_training: bool
    preparation: int

    @staticmethod
    def parse(block: Any) -> ModelSettings:
        """Read the block "hiersynth" of `configs/metadata.json`.

        Raises:
            ModelError: a newer format, or a field that is missing or out of range.
        """
        if not isinstance(block, dict):
            raise ModelError(f"{METADATA}: the block 'hiersynth' is missing.", "This is not a HierSynth model.")
        version = block.get("format_version")
        if isinstance(version, int) and version > FORMAT_VERSION:
            raise ModelError(
                f"{METADATA}: the model has format {version}, this HierSynth reads up to {FORMAT_VERSION}.",
                "Update HierSynth.",
            )
        if version != FORMAT_VERSION or isinstance(version, bool):
            raise _wrong_field("format_version")
        spacing = tuple(_field(block, "spacing_mm", lambda values: [float(value) for value in values]))
        settings = ModelSettings(
            sequences=_field(block, "sequences", lambda names: tuple(Role(name) for name in names)),
            spacing_mm=spacing if len(spacing) == 3 else (0.0, 0.0, 0.0),
            slice_step=_field(block, "slice_step", int),
            ceiling=_field(block, "ceiling", float),
            interval=_field(block, "interval", float),
            uncertainty_scale=_field(block, "uncertainty_scale", float),
            simulated_training=_field(block, "simulated_training", bool),
            preparation=_field(block, "preparation", int),
        )
        plausible = {
            "sequences": 0 < len(settings.sequences) == len(set(settings.sequences)),
            "spacing_mm": all(0.3 <= value <= 10 for value in settings.spacing_mm),
            "slice_step": 1 <= settings.slice_step <= 20,
            "ceiling": 0 < settings.ceiling <= 1000,
            "interval": 0 < settings.interval < 1,
            "uncertainty_scale": 0 < settings.uncertainty_scale <= LARGEST_SCALE,
        }
        for name, good in plausible.items():
            if not good:
                raise _wrong_field(name)
        return settings


def _field(block: dict[str, Any], name: str, convert: Callable[[Any], T]) -> T:
    try:
        return convert(block[name])
    except (KeyError, ValueError, TypeError) as error:
        raise _wrong_field(name) from error


def _wrong_field(name: str) -> ModelError:
    return ModelError(f"{METADATA}: field '{name}' of 'hiersynth' is missing or out of range.", REINSTALL)


@dataclass(frozen=True)
class ModelInfo:
    """A verified package as shown to users and written into `run.json`."""

    name: str
    version: str
    folder: Path
    built_in: bool
    weights_sha256: str
    description: str
    intended_use: str
    licence: str
    settings: ModelSettings


def model_folders() -> list[Path]:
    """The folders that are searched for packages, the user's first (so that an update can replace a built-in model)."""
    return [user_data_folder() / "Models", resources_folder() / "Models"]


def package_folders() -> dict[str, Path]:
    """The folders of all packages, whole or damaged, by name; of two with one name the first."""
    found: dict[str, Path] = {}
    for parent in model_folders():
        for name in model_names(parent):
            found.setdefault(name, parent / name)
    return found


def model_names(parent: Path) -> list[str]:
    """Names of the folders in a folder; hidden ones (being installed or removed) do not count."""
    folders = parent.iterdir() if parent.is_dir() else ()
    return sorted(folder.name for folder in folders if folder.is_dir() and not folder.name.startswith("."))


def list_models() -> list[ModelInfo]:
    """Every installed package that verifies; of two with one name only the one that `find_model` takes."""
    return [found for found in _verified_or_not().values() if isinstance(found, ModelInfo)]


def damaged_models() -> dict[str, str]:
    """What is wrong with the installed packages that `list_models` leaves out, by name."""
    return {name: found.message for name, found in _verified_or_not().items() if isinstance(found, ModelError)}


def _verified_or_not() -> dict[str, ModelInfo | ModelError]:
    found: dict[str, ModelInfo | ModelError] = {}
    for name, folder in package_folders().items():
        try:
            found[name] = verify_model(folder)
        except ModelError as error:
            found[name] = error
    return found


def find_model(name: str) -> Path:
    """The folder of the package called `name`, or `name` itself when it is a folder.

    Raises:
        ModelError: no such package.
    """
    packages = package_folders()
    if name in packages:
        return packages[name]
    if Path(name).is_dir():
        return Path(name)
    known = ", ".join(packages) or "none"
    raise ModelError(f"Model '{name}' is not installed.", f"Installed: {known}. Give a name or a model folder.")


def verify_model(folder: Path) -> ModelInfo:
    """Check every file of the package against `SHA256SUMS` and read its metadata.

    Raises:
        ModelError: not a package; a file is missing, altered or not listed; a newer format.
    """
    for required in (METADATA, INFERENCE, WEIGHTS, CHECKSUMS):
        if not (folder / required).is_file():
            raise ModelError(f"Model {folder}: the file {required} is missing.", REINSTALL)
    listed = _read_checksums(folder)
    for name in _file_names(folder):
        if name not in listed:
            raise ModelError(f"Model {folder}: the file {name} is not listed in {CHECKSUMS}.", REINSTALL)
    for name, expected in listed.items():
        if not (folder / name).is_file():
            raise ModelError(f"Model {folder}: the file {name} is missing.", REINSTALL)
        if sha256(folder / name) != expected:
            raise ModelError(f"Model {folder}: the file {name} was altered (its SHA-256 does not match).", REINSTALL)
    try:
        metadata = json.loads((folder / METADATA).read_text("utf-8"))
    except ValueError as error:
        raise ModelError(f"Model {folder}: {METADATA} is not valid JSON.", REINSTALL) from error
    if not isinstance(metadata, dict):
        raise ModelError(f"Model {folder}: {METADATA} is not a JSON object.", REINSTALL)
    settings = ModelSettings.parse(metadata.get("hiersynth"))
    return ModelInfo(
        name=folder.name,
        version=str(metadata.get("version", "unknown")),
        folder=folder,
        built_in=folder.parent == resources_folder() / "Models",
        weights_sha256=listed[WEIGHTS],
        description=str(metadata.get("description", "")),
        intended_use=str(metadata.get("intended_use", "")),
        licence=str(metadata.get("license", "not stated")),
        settings=settings,
    )


def sha256(path: Path) -> str:
    """SHA-256 of a file as 64 hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_checksums(folder: Path) -> None:
    """Write `SHA256SUMS` (the format of sha256sum) over every file of the package."""
    lines = [f"{sha256(folder / name)}  {name}\n" for name in _file_names(folder)]
    (folder / CHECKSUMS).write_text("".join(lines), "utf-8")


def _file_names(folder: Path) -> list[str]:
    """What `SHA256SUMS` has to list. Hidden files are ignored: systems leave them everywhere (.DS_Store)."""
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    visible = (path.as_posix() for path in paths if not any(part.startswith(".") for part in path.parts))
    return sorted(name for name in visible if name != CHECKSUMS)


def _read_checksums(folder: Path) -> dict[str, str]:
    listed: dict[str, str] = {}
    try:
        # Not splitlines(): it takes more characters than the newline for the end of a line.
        *lines, rest = (folder / CHECKSUMS).read_bytes().decode("utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise ModelError(f"Model {folder}: {CHECKSUMS} is not text.", REINSTALL) from error
    if rest:
        raise ModelError(f"Model {folder}: {CHECKSUMS} is cut off.", REINSTALL)
    for line in lines:
        digest, _, name = line.partition("  ")
        if len(digest) != 64 or not name or Path(name).is_absolute() or ".." in Path(name).parts:
            raise ModelError(f"Model {folder}: {CHECKSUMS} is damaged.", REINSTALL)
        listed[name] = digest
    if not {METADATA, INFERENCE, WEIGHTS} <= set(listed):
        raise ModelError(f"Model {folder}: {CHECKSUMS} does not cover the model.", REINSTALL)
    return listed
