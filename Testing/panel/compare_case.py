"""A head of known values for the tests of the compare section, and the section itself without the rest of the panel."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

MODULE = Path(__file__).resolve().parents[2] / "HierSynthModule"
if str(MODULE) not in sys.path:
    # As Slicer does with the folder of a module.
    sys.path.append(str(MODULE))

CENTRE = np.array([4.0, -12.0, 20.0])
"""Middle of the head, RAS mm."""

RADIUS = 60.0
"""mm."""


def away(right: float, front: float, up: float) -> np.ndarray:
    """(3,) position that far from CENTRE, RAS mm."""
    return CENTRE + np.array([right, front, up])


def synthetic_value(points: np.ndarray) -> np.ndarray:
    """nrCBV of the synthetic map at (..., 3) positions: rises to the right, has a hot spot; 0 outside the head."""
    offset = points - CENTRE
    spot = 6.0 * np.exp(-((offset - (25.0, 10.0, 0.0)) ** 2).sum(axis=-1) / (2 * 10.0**2))
    value = 2.0 + offset[..., 0] / 40.0 + spot
    return np.where(np.linalg.norm(offset, axis=-1) < RADIUS, value, 0.0)


def acquired_value(points: np.ndarray) -> np.ndarray:
    """nrCBV of the acquired map: falls from front to back; 0 outside the head."""
    offset = points - CENTRE
    return np.where(np.linalg.norm(offset, axis=-1) < RADIUS, 3.0 + offset[..., 1] / 40.0, 0.0)


def anatomy_value(points: np.ndarray) -> np.ndarray:
    """A grey head, a little larger than the brain that the maps cover."""
    return np.where(np.linalg.norm(points - CENTRE, axis=-1) < RADIUS + 8.0, 100.0, 0.0)


def grid(spacing: tuple[float, float, float], shape: tuple[int, int, int], degrees: float = 0.0) -> np.ndarray:
    """(4, 4) affine of a grid round CENTRE, turned about an oblique axis."""
    axis = np.array([1.0, 2.0, 3.0]) / np.sqrt(14.0)
    angle = np.deg2rad(degrees)
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    turn = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    affine = np.eye(4)
    affine[:3, :3] = turn * spacing
    affine[:3, 3] = CENTRE - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return affine


def positions(affine: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """(*shape, 3) RAS positions of the voxels of a grid."""
    index = np.stack(np.meshgrid(*(np.arange(size) for size in shape), indexing="ij"), axis=-1)
    return index @ affine[:3, :3].T + affine[:3, 3]


def add_volume(name: str, array: np.ndarray, affine: np.ndarray, **attributes: str) -> Any:
    """A scalar volume node with `array[i, j, k]` and attributes HierSynth.NAME."""
    import slicer

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    for key, value in attributes.items():
        node.SetAttribute(f"HierSynth.{key}", value)
    node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(affine))
    slicer.util.updateVolumeFromArray(node, np.ascontiguousarray(array.T.astype(np.float32)))
    node.CreateDefaultDisplayNodes()
    node.GetScalarVolumeDisplayNode().SetAutoWindowLevel(False)
    node.GetScalarVolumeDisplayNode().SetWindowLevelMinMax(0.0, 255.0)
    return node


@dataclass
class CompareCase:
    """Parameters whose volumes are known at every position, and the section that shows them."""

    parameters: Any
    section: Any

    def add_result(self, degrees: float = 0.0, simulated: bool = False) -> None:
        """Reference, synthetic map, uncertainty on one grid turned by `degrees`."""
        shape, flag = (80, 90, 70), "1" if simulated else "0"
        affine = grid((2.0, 2.0, 2.5), shape, degrees)
        points = positions(affine, shape)
        parameters = self.parameters
        modified = parameters.StartModify()
        parameters.reference = add_volume("T1", anatomy_value(points), affine)
        synthetic = synthetic_value(points)
        known = {"Synthetic": "1", "Simulated": flag}
        parameters.synthetic = add_volume("T1 CBV SYNTHETIC", synthetic, affine, Map="synthetic", **known)
        parameters.uncertainty = add_volume("T1 CBV uncertainty", synthetic / 4, affine, Map="uncertainty", **known)
        parameters.EndModify(modified)

    def add_acquired(self, degrees: float = 0.0) -> None:
        """An acquired map on a coarser grid of its own."""
        shape = (50, 60, 30)
        affine = grid((3.0, 3.0, 5.0), shape, degrees)
        self.parameters.acquired = add_volume("CBV acquired", acquired_value(positions(affine, shape)), affine)

    def add_comparison(self) -> None:
        """What the worker makes of both: acquired map on the synthetic grid, difference, checkerboard of 20 mm."""
        import slicer

        parameters = self.parameters
        affine = slicer.util.arrayFromVTKMatrix(_ijk_to_ras(parameters.synthetic))
        synthetic = slicer.util.arrayFromVolume(parameters.synthetic).T
        points = positions(affine, synthetic.shape)
        acquired = acquired_value(points)
        squares = (np.floor(points / 20.0).sum(axis=-1) % 2).astype(bool)
        known = {"Synthetic": "1", "Simulated": "0"}
        modified = parameters.StartModify()
        parameters.acquiredOnGrid = add_volume("acquired on grid", acquired, affine, Map="acquired_on_grid")
        parameters.difference = add_volume("difference", synthetic - acquired, affine, Map="difference", **known)
        board = np.where(squares, synthetic, acquired)
        parameters.checkerboard = add_volume("checkerboard", board, affine, Map="checkerboard", **known)
        parameters.EndModify(modified)


@contextmanager
def shown_section(host: Any) -> Iterator[CompareCase]:
    """The compare section in the host's panel, entered as when the user opens the module, and gone afterwards."""
    case = new_section()
    host.window.set_panel(case.section.widget)
    case.section.enter()
    settle(host)
    yield case
    host.window.set_panel(None)
    case.section.cleanup()
    # Its signals hold the section, and the section its parameters.
    case.section.widget.deleteLater()


def show_result(host: Any, case: CompareCase) -> None:
    """What the panel does when a result has arrived."""
    from HierSynthPanel import display

    display.show_result(case.parameters)
    settle(host)


def press(host: Any, button: Any) -> None:
    """Click, and wait until the views have followed."""
    host.click(button)
    settle(host)


def cut_at(position: np.ndarray, *names: str) -> None:
    """Let slice views cut through a position in RAS."""
    for name in names:
        view(name).mrmlSliceNode().JumpSliceByOffsetting(*position)


def new_section(parameters: Any = None) -> CompareCase:
    """The compare section as the panel makes it, on the scene's parameters."""
    from HierSynthPanel.compare_section import CompareSection
    from HierSynthPanel.context import PanelContext

    parameters = parameters or scene_parameters()
    context = PanelContext(parameters, None, lambda name: str(MODULE / "Resources" / name))
    section = CompareSection(context)
    section.set_parameters(parameters)
    return CompareCase(parameters, section)


def scene_parameters() -> Any:
    """The module's parameters in the scene, which are made where there are none."""
    import slicer
    from HierSynthPanel.parameters import HierSynthParameters

    node = slicer.mrmlScene.GetSingletonNode("HierSynth", "vtkMRMLScriptedModuleNode")
    if node is None:
        node = slicer.vtkMRMLScriptedModuleNode()
        node.SetSingletonTag("HierSynth")
        node = slicer.mrmlScene.AddNode(node)
    return HierSynthParameters(node)


def view(name: str) -> Any:
    """The slice widget of a view."""
    import slicer

    return slicer.app.layoutManager().sliceWidget(name)


def offset_of(name: str) -> float:
    """Where a view cuts, mm along its normal."""
    return view(name).sliceLogic().GetSliceOffset()


def settle(host: Any) -> None:
    """Wait until what was postponed has happened and every view has been drawn."""
    import slicer

    slicer.app.processEvents()
    host.wait(slicer.app.layoutManager().scheduler().is_idle)
    slicer.app.processEvents()
    host.wait(slicer.app.layoutManager().scheduler().is_idle)


def picture(host: Any, widget: Any) -> np.ndarray:
    """What a widget shows as (rows, columns, 3), first row at the top."""
    settle(host)
    image = host.grab(widget)
    image = image.convertToFormat(image.Format.Format_RGB888)
    rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
    return rows[:, : 3 * image.width()].reshape(image.height(), image.width(), 3).copy()


def color_at(host: Any, name: str, position: np.ndarray) -> np.ndarray:
    """(3,) colour, 0 to 255, that a slice view shows at a position in RAS, which its slice has to contain."""
    import slicer

    shown = picture(host, view(name).sliceView())
    xy_to_ras = slicer.util.arrayFromVTKMatrix(view(name).mrmlSliceNode().GetXYToRAS())
    x, y, z, _ = np.linalg.solve(xy_to_ras, [*position, 1.0])
    assert abs(z) < 1.0, "the slice does not contain the position"
    return shown[len(shown) - 1 - round(y), round(x)].astype(float)


def yellow_pixels(host: Any, widget: Any) -> int:
    """How many pixels in the upper part of a view have the colour of the words SYNTHETIC and SIMULATED."""
    shown = picture(host, widget)[:60].astype(int)
    return int(((shown[..., 0] > 180) & (shown[..., 1] > 150) & (shown[..., 2] < 120)).sum())


def table_colors(name: str) -> np.ndarray:
    """(n, 4) red, green, blue, alpha of a colour table file in Resources/ColorTables."""
    from HierSynthPanel.color_maps import resources_folder

    lines = (resources_folder() / "ColorTables" / f"{name}.ctbl").read_text("utf-8").splitlines()
    rows = [line.split() for line in lines if line.strip() and not line.startswith("#")]
    return np.array([[float(part) for part in row[-4:]] for row in rows])


def _ijk_to_ras(node: Any) -> Any:
    import vtk

    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return matrix
