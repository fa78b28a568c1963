"""Fidelity: how synthetic maps compare with acquired ones, in figures (measures follow)."""
