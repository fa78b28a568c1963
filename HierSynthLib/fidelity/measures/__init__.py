"""Measures: of a map in a region, and of how two maps agree there."""
