"""What an evaluation needs of a model: prepared sequences in, maps out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from HierSynthLib.case import Role
from HierSynthLib.errors import InputError
from HierSynthLib.progress import Reporter
from HierSynthLib.synthesis.package import INFERENCE, WEIGHTS, find_model, sha256, verify_model
from Training.evaluation.trained_on import TrainedOn, read_trained_on

if TYPE_CHECKING:
    import torch

    from HierSynthLib.synthesis.model import LoadedModel

Array = NDArray[np.floating]


class Prediction(NamedTuple):
    """Maps on the grid of the sequences, (I, J, K) float32 in nrCBV.

    Attributes:
        synthetic: the CBV map.
        uncertainty: half-width of the interval that covers the share `interval` of the errors; None where the model has
            none.
        interval: share, 0 to 1.
        device: what computed it, in words.
    """

    synthetic: NDArray[np.float32]
    uncertainty: NDArray[np.float32] | None
    interval: float
    device: str


class Predictor(Protocol):
    """A trained model."""

    @property
    def key(self) -> str:
        """A hash of everything that decides its maps."""

    @property
    def title(self) -> str:
        """Name and version."""

    @property
    def sequences(self) -> tuple[Role, ...]:
        """What it reads."""

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Voxel edges of the grid that it works on."""

    @property
    def simulated_training(self) -> bool:
        """Whether it has seen simulated brains only."""

    @property
    def trained_on(self) -> TrainedOn:
        """Which patients it has seen."""

    @property
    def megabytes(self) -> float:
        """Size of its weights."""

    def load(self) -> None:
        """Make it ready, so that the time this takes is not counted as that of a synthesis."""

    def predict(self, sequences: Mapping[Role, Array], brain: NDArray[np.bool_], reporter: Reporter) -> Prediction:
        """The maps of a prepared case; missing sequences are left out of `sequences`."""


@dataclass(frozen=True)
class Method:
    """A method with one or more trainings that differ by their seed only."""

    name: str
    trainings: tuple[Predictor, ...]


class PackagePredictor:
    """A model package, loaded when it is first used."""

    def __init__(self, folder: Path, device: torch.device) -> None:
        """Verify the package.

        Raises:
            ModelError: a file is missing or altered.
        """
        from HierSynthLib.synthesis.device import describe_device

        self._info = verify_model(folder)
        self._device = device
        self._words = describe_device(device)
        self._loaded: LoadedModel | None = None
        settings = self._info.settings
        shape = sha256(folder / INFERENCE)
        self._key = f"{self._info.weights_sha256[:32]}-{shape[:8]}-{settings.uncertainty_scale!r}-{device.type}"
        self._trained_on = read_trained_on(folder)
        self._bytes = (folder / WEIGHTS).stat().st_size

    @property
    def key(self) -> str:
        """Hash of weights and network, with the scale of the intervals and the kind of device."""
        return self._key

    @property
    def title(self) -> str:
        """Name and version of the package."""
        return f"{self._info.name} {self._info.version}"

    @property
    def sequences(self) -> tuple[Role, ...]:
        """As the package says."""
        return self._info.settings.sequences

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """As the package says."""
        return self._info.settings.spacing_mm

    @property
    def simulated_training(self) -> bool:
        """As the package says."""
        return self._info.settings.simulated_training

    @property
    def trained_on(self) -> TrainedOn:
        """As the package says."""
        return self._trained_on

    @property
    def megabytes(self) -> float:
        """Of the file of the weights."""
        return self._bytes / 1e6

    def load(self) -> None:
        """Verify the package again and read the weights, once."""
        self._ready()

    def predict(self, sequences: Mapping[Role, Array], brain: NDArray[np.bool_], reporter: Reporter) -> Prediction:
        """The maps by the pipeline that users run."""
        from HierSynthLib.synthesis.device import describe_device
        from HierSynthLib.synthesis.pipeline import synthesise

        maps = synthesise(sequences, brain, self._ready(), self._device, reporter)
        words = self._words if maps.device == self._device else describe_device(maps.device)
        return Prediction(maps.synthetic, maps.uncertainty, maps.interval, words)

    def _ready(self) -> LoadedModel:
        from HierSynthLib.synthesis.model import load_model

        if self._loaded is None:
            self._loaded = load_model(self._info.folder)
            self._loaded.on(self._device)
        return self._loaded


def open_methods(given: Sequence[str], device: torch.device) -> list[Method]:
    """The methods named on the command line.

    Args:
        given: "MODEL", or "NAME=MODEL" or "NAME=MODEL,MODEL,…" for several trainings; a model is the name of an
            installed one or a folder.
        device: where to compute.

    Raises:
        InputError: no model, a name twice, or the same training twice in one method.
        ModelError: a model is not there or damaged.
    """
    if not given:
        raise InputError("No model is given.", "Give at least one --model NAME=FOLDER.")
    methods: list[Method] = []
    for text in given:
        name, equals, paths = text.partition("=")
        places = [each.strip() for each in (paths if equals else text).split(",") if each.strip()]
        name = name.strip() if equals else Path(places[0]).name if places else ""
        if not name or not places:
            raise InputError(f"--model {text!r} names no model.", "Write NAME=FOLDER, or NAME=FOLDER,FOLDER,…")
        if name in [method.name for method in methods]:
            raise InputError(f"Two models are called {name!r}.", "Write --model NAME=FOLDER with different names.")
        trainings = tuple(PackagePredictor(find_model(place), device) for place in places)
        if len({each.key for each in trainings}) < len(trainings):
            raise InputError(f"--model {name}: the same weights are given twice.", "Give each training once.")
        methods.append(Method(name, trainings))
    return methods
