"""The report of a patient: tables, key slices, plots, page."""
