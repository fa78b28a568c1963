"""Simulated patients with known truth: anatomy, physiology, signal."""

from HierSynthLib.phantom.make import GENERATOR_VERSION, SIZES, Phantom, make_phantom
from HierSynthLib.phantom.write import write_phantom

__all__ = ["GENERATOR_VERSION", "SIZES", "Phantom", "make_phantom", "write_phantom"]
