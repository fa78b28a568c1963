"""Properties that a layout description gives a view.

Followed: vtkMRMLLayoutLogic.cxx (ApplyProperties), which Python cannot call.
"""

from __future__ import annotations

import slicer
from vtkmodules.vtkCommonDataModel import vtkXMLDataElement


def apply_properties(view_element: vtkXMLDataElement, view_node, action: str) -> None:
    """Applies the `property` elements for `action` ("default" when a view is created, "relayout" when it is arranged).

    Args:
        view_element: The `view` element of the layout description.
        view_node: vtkMRMLAbstractViewNode.
        action: Which properties; those that name no action apply always.
    """
    for index in range(view_element.GetNumberOfNestedElements()):
        element = view_element.GetNestedElement(index)
        if (element.GetAttribute("action") or action) == action:
            _apply(element.GetAttribute("name"), (element.GetCharacterData() or "").strip(), view_node)


def _apply(name: str, value: str, view_node) -> None:
    if name == "orientation":
        view_node.SetDefaultOrientation(value)
        view_node.SetOrientation(value)
    elif name == "viewgroup":
        view_node.SetViewGroup(int(value))
    elif name == "viewlabel":
        view_node.SetLayoutLabel(value)
    elif name == "viewcolor":
        view_node.SetLayoutColor(_rgb(value))


def _rgb(color: str) -> tuple[float, float, float]:
    """The components of "#RRGGBB", 0 to 1."""
    rgb = [0.0, 0.0, 0.0]
    slicer.vtkMRMLColors.toRGBColor(color, rgb)
    return rgb[0], rgb[1], rgb[2]
