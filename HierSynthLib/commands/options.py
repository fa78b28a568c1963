"""The options that several commands share."""

from enum import StrEnum
from typing import Annotated

import typer


class Grade(StrEnum):
    """Grade of the simulated tumour."""

    HIGH = "high"
    LOW = "low"
    NONE = "none"


class Size(StrEnum):
    """Resolution of the simulated patient: 1 mm, or coarse for tests."""

    FULL = "full"
    SMALL = "small"


class Device(StrEnum):
    """Where the networks run."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"
    MPS = "mps"


class Sequence(StrEnum):
    """The sequences that can be the reference."""

    T1 = "T1"
    T2 = "T2"
    FLAIR = "FLAIR"
    ADC = "ADC"


Seed = Annotated[int, typer.Option(min=0, help="Number of the simulated patient; the same number, the same patient.")]
GradeOption = Annotated[Grade, typer.Option(help="Grade of the simulated tumour.")]
SizeOption = Annotated[Size, typer.Option(help="full: 1 mm; small: coarse, for a quick look.")]
DeviceOption = Annotated[Device, typer.Option(help="Where the networks run; auto takes the fastest there is.")]
Model = Annotated[
    str | None,
    typer.Option(
        metavar="NAME|PATH", help="Installed model (see: models list) or model folder; the built-in one otherwise."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object on stdout.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the log of the worker, and tracebacks.")]
