"""File formats of images, read and written strictly: what is damaged or has no clear geometry is refused.

Every module works on an array, indexed (i, j, k) or (i, j, k, frame), and an affine, voxel index → RAS position in mm,
with the standard library and numpy alone. ITK is not used here, because it reads truncated files without complaint and
silently replaces a sheared orientation by another one.
"""
