"""The packages that the background process needs: what a panel has installed, and looks for beforehand."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import metadata, util
from typing import Literal

Source = Literal["slicer", "pytorch", "pypi"]


@dataclass(frozen=True)
class Requirement:
    """A package.

    Attributes:
        name: as on the Python Package Index.
        minimum: lowest version.
        source: who brings it into Slicer's Python: Slicer itself (never install another one over it), the extension
            PyTorch, or the Python Package Index.
    """

    name: str
    minimum: str
    source: Source

    def __str__(self) -> str:
        return f"{self.name}>={self.minimum}"


RUNTIME = (
    Requirement("numpy", "2.0", "slicer"),
    Requirement("scipy", "1.13", "slicer"),
    Requirement("SimpleITK", "2.4", "slicer"),
    Requirement("pydicom", "3.0", "slicer"),
    Requirement("torch", "2.6", "pytorch"),
    Requirement("safetensors", "0.5", "pypi"),
)
"""What a synthesis needs. `pyproject.toml` names the same versions; a test compares the two."""


def to_install() -> list[str]:
    """The requirements that `slicer.packaging` has to install into Slicer's Python; torch comes by its extension."""
    return [str(requirement) for requirement in RUNTIME if requirement.source == "pypi"]


def installed_version(name: str) -> str | None:
    """The version of a package in this Python, without importing it; "unknown" where it has none, None if absent."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "unknown" if util.find_spec(name) else None


def is_older(version: str, minimum: str) -> bool:
    """Whether a version such as "2.13.0+cpu" is older than `minimum`; an unreadable one is not."""
    found, needed = _numbers(version), _numbers(minimum)
    return bool(found) and found < needed


def _numbers(version: str) -> list[int]:
    digits = re.match(r"\d+(?:\.\d+)*", version)
    return [int(part) for part in digits[0].split(".")] if digits else []
