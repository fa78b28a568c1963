"""Synthesis: networks, model packages and the pipeline from a prepared case to CBV maps."""
