"""The module `slicer.packaging`: Python packages that a module needs.

Followed: Base/Python/slicer/packaging.py of Slicer.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable
from pathlib import Path

import slicer
from packaging.requirements import Requirement


def load_requirements(path: str | Path) -> list[Requirement]:
    """Read a requirements file; comments and options of pip are skipped."""
    lines = [line.strip() for line in Path(path).read_text(encoding="utf-8").splitlines()]
    return [Requirement(line) for line in lines if line and not line.startswith(("#", "-"))]


def pip_ensure(requirements: Iterable[str | Requirement], requester: str | None = None) -> None:
    """Install what is missing, after the user has agreed; nothing is installed while tests run.

    Raises:
        RuntimeError: the user does not agree.
        subprocess.CalledProcessError: the installation failed.
    """
    missing = [str(requirement) for requirement in requirements if not _satisfied(Requirement(str(requirement)))]
    if not missing or slicer.app.testingEnabled():
        return
    title = f"{requester} - Install Python Packages"
    question = "Python packages need to be installed."
    if not slicer.util.confirmOkCancelDisplay(question, title, detailedText="\n".join(missing)):
        message = "User declined package installation"
        raise RuntimeError(message)
    slicer.util.pip_install(missing)


def _satisfied(requirement: Requirement) -> bool:
    if requirement.marker is not None and not requirement.marker.evaluate():
        return True
    try:
        version = importlib.metadata.version(requirement.name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return requirement.specifier.contains(version, prereleases=True)
