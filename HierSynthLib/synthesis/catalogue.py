"""The installed models as a panel lists them: quick, without torch, without reading the weights."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from HierSynthLib.case import Role
from HierSynthLib.errors import ModelError
from HierSynthLib.synthesis.package import METADATA, ModelSettings, package_folders

SIMULATED_TRAINING = "Trained on simulated brains only: on real patients it just shows that the pipeline runs."


@dataclass(frozen=True)
class ModelCard:
    """A model as shown to users; whether its files are unaltered is checked when it is used.

    Attributes:
        name: what a job calls it.
        title: for a list: name and version.
        sequences: what it reads.
        statement: what to know before using it; "" for nothing.
        problem: why it cannot be used; "" where nothing is known against it.
    """

    name: str
    title: str
    sequences: tuple[Role, ...] = ()
    statement: str = ""
    problem: str = ""


def model_cards() -> list[ModelCard]:
    """All installed models in the order of their names, damaged ones with their problem."""
    return [_card(name, folder) for name, folder in sorted(package_folders().items())]


def _card(name: str, folder: Path) -> ModelCard:
    try:
        metadata = json.loads((folder / METADATA).read_text("utf-8"))
        settings = ModelSettings.parse(metadata.get("hiersynth"))
    except ModelError as error:
        return ModelCard(name, name, problem=error.message)
    except OSError as error:
        return ModelCard(name, name, problem=f"{METADATA} cannot be read: {error.strerror}.")
    except (ValueError, AttributeError):
        return ModelCard(name, name, problem=f"{METADATA} is damaged.")
    title = f"{name} {metadata.get('version', '')}".strip()
    statement = SIMULATED_TRAINING if settings.simulated_training else ""
    return ModelCard(name, title, settings.sequences, statement)
