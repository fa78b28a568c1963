"""Blinded reader studies: design, reading, record, analysis and export."""
