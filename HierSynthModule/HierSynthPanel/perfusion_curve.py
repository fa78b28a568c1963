"""The curves of one voxel of a DSC series, at a point that the user places and drags."""

from collections.abc import Callable, Mapping
from typing import Any

import qt
import slicer
import vtk
from slicer.i18n import tr as _

from HierSynthLib.perfusion.voxel_curve import VoxelCurves, voxel_at, voxel_curves
from HierSynthPanel import nodes, perfusion_nodes, roi_nodes, views
from HierSynthPanel.chart_nodes import BLACK, BLUE, GREY, RED, Chart, ChartNodes, Series
from HierSynthPanel.observers import Observers
from HierSynthPanel.parameters import HierSynthParameters
from HierSynthPanel.point_lists import new_points, place_by_click

INTERVAL_MS = 30
"""Between two drawings while the point is dragged."""

COLOR = (1.0, 0.9, 0.2)
DIAMETER_MM = 4.0


class CurveProbe:
    """Draws the curves at the last point of the list "DSC curve" whenever it or the series has changed.

    Args:
        on_note: called with what the user should know about the curves, or "".
    """

    def __init__(self, on_note: Callable[[str], None]) -> None:
        self._on_note = on_note
        self._parameters: HierSynthParameters | None = None
        self._result: Mapping[str, Any] | None = None
        self._observers = Observers()
        self._followed: tuple[Any, ...] = ()
        self._charts = ChartNodes((views.SIGNAL_VIEW, views.RELAXATION_VIEW))
        self._timer = qt.QTimer()
        self._timer.interval = INTERVAL_MS
        self._timer.timeout.connect(self._draw)

    def set_parameters(self, parameters: HierSynthParameters) -> None:
        """Draw the series of these parameters from now on."""
        self.release()
        self._parameters = parameters
        self.follow()

    def release(self) -> None:
        """Draw nothing."""
        self._timer.stop()
        self._observers.clear()
        self._charts.clear()
        self._parameters = self._result = None
        self._followed = ()

    def cleanup(self) -> None:
        """Leave no node, observer or timer behind."""
        self.release()
        self._timer.timeout.disconnect(self._draw)
        self._charts.cleanup()

    def show(self, result: Mapping[str, Any] | None) -> None:
        """Take the mean curves of a processing: "mean_curves" and "te_s" of its result; None for no processing."""
        self._result = result
        self.schedule()

    def follow(self) -> None:
        """Observe the list of points and the volume that shows the series, as they are in the scene now."""
        if self._parameters is None:
            return
        node = _list()
        series = self._parameters.dsc
        shown = perfusion_nodes.shown_by(series) if nodes.present(series) else None
        if (node, series, shown) != self._followed:
            self._followed = (node, series, shown)
            self.schedule()
        kept = [each for each in (node, shown) if each is not None]
        self._observers.keep(lambda subject: any(subject is each for each in kept))
        if node is not None:
            for event in roi_nodes.content_events(node):
                self._observers.add(node, event, self.schedule)
        if shown is not None:
            moved = slicer.vtkMRMLTransformableNode.TransformModifiedEvent
            for event in (vtk.vtkCommand.ModifiedEvent, moved):
                self._observers.add(shown, event, self.schedule)

    def place(self) -> None:
        """Let the user click the point into a view."""
        place_by_click(self._make())
        self.follow()

    def put(self, position: list[float]) -> None:
        """Put the point at a position in the world, RAS mm, where there is none yet."""
        node = self._make()
        if not roi_nodes.placed_points(node):
            node.AddControlPointWorld(position, _("curve"))
        self.follow()

    def jump(self) -> None:
        """Let the slice views cut through the point."""
        node = _list()
        points = roi_nodes.placed_points(node) if node is not None else []
        if points:
            slicer.modules.markups.logic().JumpSlicesToLocation(*points[-1].position, False)

    def schedule(self, *_args: object) -> None:
        """Draw soon. The time is not begun anew, so that a drag is followed while it lasts."""
        if self._parameters is not None and not self._timer.active:
            self._timer.start()

    def _make(self) -> Any:
        node = _list()
        if node is None:
            simulated = self._parameters.dsc is not None and self._parameters.dsc.GetAttribute(nodes.SIMULATED) == "1"
            node = new_points(_("DSC curve"), roi_nodes.PROBE, COLOR, DIAMETER_MM, simulated)
        return node

    def _draw(self, *_args: object) -> None:
        if slicer.mrmlScene.IsBatchProcessing():
            # The timer goes on: what has changed meanwhile is drawn afterwards.
            return
        self._timer.stop()
        if self._parameters is None:
            return
        curves, note = self._curves()
        self._on_note(note)
        if curves is None:
            self._charts.clear()
        else:
            self._charts.show(_tables(curves), _charts(curves, self._simulated()))

    def _simulated(self) -> bool:
        return self._parameters.dsc.GetAttribute(nodes.SIMULATED) == "1"

    def _curves(self) -> tuple[VoxelCurves | None, str]:
        node, series = _list(), self._parameters.dsc
        points = roi_nodes.placed_points(node) if node is not None else []
        if not points:
            return None, ""
        _keep_last(node)
        if self._result is None or not nodes.present(series):
            return None, _("Curves are shown once the series has been processed.")
        if perfusion_nodes.problem_of(series):
            return None, perfusion_nodes.problem_of(series)
        affine, grid = perfusion_nodes.geometry_of(series)
        voxel = voxel_at(points[-1].position, affine, grid)
        if voxel is None:
            return None, _("The point lies outside the DSC series.")
        signal = perfusion_nodes.signal_at(series, voxel)
        if len(signal) != len(self._result["mean_curves"]["times_s"]):
            return None, _("The series has changed: run again.")
        curves = voxel_curves(signal, self._result["te_s"][0], self._result["mean_curves"])
        return curves, _("Voxel {voxel}").format(voxel=", ".join(str(index) for index in voxel))


def _list() -> Any:
    return roi_nodes.points_with_role(roi_nodes.PROBE)


def _keep_last(node: Any) -> None:
    """Of several points the newest counts: a click moves the probe."""
    with slicer.util.NodeModify(node):
        while node.GetNumberOfControlPoints() > 1 and len(roi_nodes.placed_points(node)) > 1:
            node.RemoveNthControlPoint(0)


def _tables(curves: VoxelCurves) -> dict[str, dict[str, Any]]:
    columns = {
        "time": curves.times_s,
        "signal": curves.signal,
        "voxel": curves.relaxation,
        "non-enhancing": curves.non_enhancing,
    }
    return {"dsc": columns | ({} if curves.aif is None else {"aif": curves.aif})}


def _charts(curves: VoxelCurves, simulated: bool) -> tuple[Chart, Chart]:
    # VTK measures two lines too low; an empty last one keeps them off the plot.
    mark = _(" (simulated)") if simulated else ""
    relaxation = [
        Series(_("voxel"), "dsc", "time", "voxel", BLUE),
        Series(_("non-enhancing brain"), "dsc", "time", "non-enhancing", GREY, "dashed"),
    ]
    if curves.aif is not None:
        divided = f" ÷ {curves.aif_divisor}" if curves.aif_divisor > 1 else ""
        relaxation.append(Series(_("AIF") + divided, "dsc", "time", "aif", RED))
    return (
        Chart(
            view=views.SIGNAL_VIEW,
            title=_("Signal of the voxel") + mark,
            x_title=_("time (s)"),
            y_title=_("signal (a.u.)"),
            series=(Series(_("voxel"), "dsc", "time", "signal", BLACK),),
            x_range=curves.time_range,
            y_range=curves.signal_range,
        ),
        Chart(
            view=views.RELAXATION_VIEW,
            title=_("ΔR2*") + mark,
            x_title=_("time (s)"),
            y_title=_("ΔR2* (1/s)"),
            series=tuple(relaxation),
            x_range=curves.time_range,
            y_range=curves.relaxation_range,
            legend=True,
        ),
    )
