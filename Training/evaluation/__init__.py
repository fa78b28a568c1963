"""Evaluation of models over a cohort: measures per patient, statistics, robustness, grading, report."""
