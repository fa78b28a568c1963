"""Slicer's views in a Qt window: slice views, 3-D views and the layout manager that arranges them."""

from Testing.host.views.grab import grab
from Testing.host.views.layout_manager import LayoutManager

__all__ = ["LayoutManager", "grab"]
