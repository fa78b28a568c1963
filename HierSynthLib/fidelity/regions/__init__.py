"""Regions: shapes and their voxels, the suggested NAWM reference and hotspots, their audit."""
