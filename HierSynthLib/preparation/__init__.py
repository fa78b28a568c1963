"""Preparation: registration, common grid, brain mask, normalisation; the same for training and inference."""

from HierSynthLib.preparation.brain_mask import MaskQuality
from HierSynthLib.preparation.grid import Grid, resample
from HierSynthLib.preparation.prepare import PreparedCase, prepare, to_reference

VERSION = 1
"""Changes whenever the same volumes give another prepared case; a model fits the one that it was trained with."""

__all__ = ["VERSION", "Grid", "MaskQuality", "PreparedCase", "prepare", "resample", "to_reference"]
