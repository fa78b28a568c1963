"""Perfusion: from a DSC series (dynamic susceptibility contrast) to CBV, CBF, MTT and their relatives.

`pipeline.process` is the entrance; `options`, `series` and `units` need nothing but numpy.
"""
