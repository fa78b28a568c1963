"""Installing into Slicer's own Python what the synthesis needs, when the user asks for it."""

from collections.abc import Iterable
from subprocess import CalledProcessError

import slicer
from slicer.i18n import tr as _

TORCH = "torch"


class InstallationError(Exception):
    """What could not be installed, and what to do, in words for the user."""


def install(requirements: Iterable[str]) -> None:
    """Install packages, torch through the PyTorch extension and the rest from the Python Package Index.

    Both ask the user before they download anything, and show their progress.

    Args:
        requirements: such as "torch>=2.6".

    Raises:
        InstallationError: the extension is missing, the user declined, or the installation failed.
    """
    wanted = list(requirements)
    torch = [requirement for requirement in wanted if requirement.startswith(TORCH)]
    others = [requirement for requirement in wanted if requirement not in torch]
    try:
        if torch:
            _install_torch(torch[0].removeprefix(TORCH))
        if others:
            _install_packages(others)
    except (RuntimeError, CalledProcessError, OSError) as error:
        raise InstallationError(
            _("The installation did not succeed: {error}. Check the network, and try again.").format(error=error)
        ) from error


def _install_torch(version: str) -> None:
    try:
        import PyTorchUtils
    except ModuleNotFoundError as error:
        raise InstallationError(
            _("torch is missing. Install the extension PyTorch in the Extensions Manager, and restart Slicer.")
        ) from error
    if PyTorchUtils.PyTorchUtilsLogic().installTorch(askConfirmation=True, torchVersionRequirement=version) is None:
        raise InstallationError(_("torch was not installed, because it was declined."))


def _install_packages(requirements: list[str]) -> None:
    try:
        from slicer.packaging import pip_ensure
    except ModuleNotFoundError:  # before Slicer 5.11
        slicer.util.pip_install(requirements)
    else:
        pip_ensure(requirements, requester="HierSynth")
