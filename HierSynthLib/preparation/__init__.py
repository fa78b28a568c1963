"""Preparation: registration, common grid, brain mask, normalisation; the same for training and inference."""

from HierSynthLib.preparation.brain_mask import MaskQuality
from HierSynthLib.preparation.grid import Grid, resample
from HierSynthLib.preparation.prepare import PreparedCase, prepare, to_reference

__all__ = ["Grid", "MaskQuality", "PreparedCase", "prepare", "resample", "to_reference"]
