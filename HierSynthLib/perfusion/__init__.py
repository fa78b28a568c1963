"""Perfusion: from a DSC series (dynamic susceptibility contrast) to CBV, CBF, MTT and their relatives.

`pipeline.process` is the entrance; `options`, `series` and `units` need nothing but numpy.
"""

VERSION = 1
"""Changes with whatever changes a map; prepared patients whose CBV was computed are then made again."""
