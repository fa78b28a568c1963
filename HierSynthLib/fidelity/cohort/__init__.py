"""Fidelity across patients: statistics, grading, report."""
