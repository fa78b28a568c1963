"""The errors that a user sees: one line on what is wrong, one on what to do."""

RUNTIME = "runtime"
"""Kind of a failure that installing packages, or choosing another Python, will mend."""


class HierSynthError(Exception):
    """An error that is explained to the user instead of shown as a traceback.

    `message` names the file, field or option and what is wrong with it; `hint` says what to do. `kind` is the
    machine-readable class of the error, the same word on the command line, in the worker's events and in the panel.
    """

    kind = "error"

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class InputError(HierSynthError):
    """A file, folder, option or value given by the user cannot be used."""

    kind = "input"


class ModelError(HierSynthError):
    """A model package is missing, incomplete, altered or not supported."""

    kind = "model"


class DeviceError(HierSynthError):
    """The requested compute device is unknown, absent or out of memory."""

    kind = "device"


class OutputError(HierSynthError):
    """A result could not be written (permission, full disk, name taken)."""

    kind = "output"


class WorkerError(HierSynthError):
    """The background process could not start, or ended without an answer."""

    kind = "worker"


class Cancelled(Exception):
    """The user asked to stop; raised from `Reporter.progress` and never shown as an error."""
