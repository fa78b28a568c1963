"""The report of a closed reader study."""
