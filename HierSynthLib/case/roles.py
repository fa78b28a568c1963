"""The parts that volumes play, and the units that they have inside the library."""

from enum import StrEnum


class Role(StrEnum):
    """The part that a volume plays in a case; the value is the stem of its file name in a case folder."""

    T1 = "T1"
    T2 = "T2"
    FLAIR = "FLAIR"
    ADC = "ADC"
    ASL = "ASL"
    T1CE = "T1CE"
    DSC = "DSC"
    CBV_ACQUIRED = "CBV_acquired"
    CBV_TRUE = "CBV_true"
    ROI = "ROI"
    BRAIN = "brain_mask"


SEQUENCES = (Role.T1, Role.T2, Role.FLAIR, Role.ADC)
"""What the synthesis reads."""

ADC_UNITS = "10⁻³ mm²/s"
"""White matter is about 0.76 in these units."""

REFERENCE_LABEL = "NAWM reference"
"""Name of the ROI label of the normal-appearing white matter that nrCBV refers to; every other label is lesion."""

CBV_UNITS = "nrCBV"
"""Blood volume relative to the mean of the contralateral normal-appearing white matter, which is 1."""
