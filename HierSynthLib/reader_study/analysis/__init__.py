"""Statistics of a closed reader study."""
