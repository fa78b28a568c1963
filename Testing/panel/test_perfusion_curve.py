"""Curves of the voxel at a point that is clicked and dragged, in the plot views; what a saved scene keeps."""

import numpy as np
import pytest

from HierSynthLib.worker.run_state import RunState
from Testing.panel.perfusion_case import (
    TE_MS,
    TR_S,
    add_sequence,
    add_white_matter,
    choose_series,
    positions_of,
    run,
    settle,
    shown,
    values_of,
)
from Testing.panel.plot_steps import of_color, plot_widget
from Testing.panel.roi_case import wait_a_moment
from Testing.panel.view_steps import pixel_of, pixels
from Testing.panel.view_steps import settle as settle_views
from Testing.unit.test_perfusion_head import CLASSES

SIGNAL, RELAXATION = "HierSynthDscSignal", "HierSynthDscRelaxation"
RED_LINE = (0.835, 0.369, 0.0)


@pytest.fixture
def panel(host, head):
    """The panel after the processing of the head."""
    panel = host.open_module("HierSynth").panel
    add_white_matter(head)
    choose_series(host, panel, add_sequence(head))
    run(host, panel)
    assert panel.perfusion.process.run.state == RunState.DONE, panel.perfusion.ui.processStatus.text
    return panel


def column(name):
    """A column of the table that is drawn; None while there is none."""
    import slicer
    from vtk.util.numpy_support import vtk_to_numpy

    table = slicer.mrmlScene.GetFirstNodeByName("HierSynth dsc")
    if table is None:
        return None
    found = table.GetTable().GetColumnByName(name)
    return None if found is None else vtk_to_numpy(found)


def probe_node():
    import slicer

    return slicer.mrmlScene.GetFirstNodeByName("DSC curve")


def tumour_voxel(head):
    return tuple(np.argwhere(head.labels == CLASSES.index("tumour"))[0])


def place_of(head, voxel):
    return positions_of([voxel], head.series.affine)[0]


def assert_curves_of(head, right, voxel):
    signal = head.series.echoes[0][tuple(voxel)].astype(float)
    np.testing.assert_allclose(column("signal"), signal, rtol=1e-5)
    level = signal[right.bolus.start : right.bolus.stop].mean()
    relaxation = -np.log(signal / level) / (TE_MS / 1000)
    relaxation[: right.bolus.steady] = 0
    np.testing.assert_allclose(column("voxel"), relaxation, rtol=1e-4, atol=1e-3)


def test_the_curves_follow_the_point(host, panel, head, right):
    host.click(panel.perfusion.ui.curvesButton)
    host.wait(lambda: column("voxel") is not None, 5)
    assert_curves_of(head, right, right.aif.voxels[0])
    np.testing.assert_allclose(column("time"), np.arange(60) * TR_S)
    np.testing.assert_allclose(column("non-enhancing"), right.curves.non_enhancing, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(column("aif"), right.aif.curve, rtol=1e-4, atol=1e-4)
    voxel = tumour_voxel(head)
    with host.gaps():
        probe_node().SetNthControlPointPositionWorld(0, *place_of(head, voxel))
        host.wait(lambda: column("signal")[0] == head.series.echoes[0][voxel][0], 5)
    assert_curves_of(head, right, voxel)
    # The artery is far higher than the tumour: it is divided, and the legend says by what.
    divisor = right.aif.curve.max() / column("aif").max()
    assert divisor == pytest.approx(round(divisor), abs=1e-3)
    chart = plot_widget(RELAXATION).mrmlPlotViewNode().GetPlotChartNode()
    names = [chart.GetNthPlotSeriesNode(number).GetName() for number in range(chart.GetNumberOfPlotSeriesNodes())]
    assert names == ["voxel", "non-enhancing brain", f"AIF ÷ {divisor:.0f}" if divisor > 1.5 else "AIF"]
    assert len(of_color(pixels(host, plot_widget(RELAXATION).plotView()), RED_LINE)) > 50
    assert f"Voxel {voxel[0]}, {voxel[1]}, {voxel[2]}" in panel.perfusion.ui.curveNote.text
    # What is moved while the scene is busy is drawn afterwards, and the point is no region to be measured.
    import slicer
    from HierSynthPanel.roi_nodes import region_nodes

    assert probe_node() not in region_nodes()
    slicer.mrmlScene.StartState(slicer.mrmlScene.BatchProcessState)
    probe_node().SetNthControlPointPositionWorld(0, 900, 0, 0)
    wait_a_moment(host, 0.1)
    assert column("voxel") is not None
    slicer.mrmlScene.EndState(slicer.mrmlScene.BatchProcessState)
    host.wait(lambda: "outside" in panel.perfusion.ui.curveNote.text, 5)
    assert column("voxel") is None


def test_a_click_shows_the_curves_of_that_voxel(host, panel, head, right):
    import slicer

    voxel = tumour_voxel(head)
    place = place_of(head, voxel)
    host.click(panel.perfusion.ui.curvesButton)
    settle_views(host)
    red = slicer.app.layoutManager().sliceWidget("Red")
    red.sliceController().fitSliceToBackground()
    red.mrmlSliceNode().JumpSliceByOffsetting(*place)
    settle_views(host)
    host.click(panel.perfusion.ui.placeCurveButton)
    red.mrmlSliceNode().JumpSliceByOffsetting(*place)
    settle_views(host)
    view = red.sliceView()
    host.click_at(view, tuple(float(each) for each in pixel_of(red, place, view.height)))
    host.wait(lambda: probe_node().GetNumberOfControlPoints() == 1, 5)
    host.wait(lambda: f"Voxel {voxel[0]}, {voxel[1]}, {voxel[2]}" in panel.perfusion.ui.curveNote.text, 5)
    assert_curves_of(head, right, voxel)


def test_the_curve_is_that_of_the_moved_series(host, panel, head, right):
    import slicer

    sequence = panel.context.parameters.dsc
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = np.eye(4)
    matrix[:3, 3] = [2 * 6.4, 0, 9.6]
    transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
    host.click(panel.perfusion.ui.curvesButton)
    voxel = tumour_voxel(head)
    probe_node().SetNthControlPointPositionWorld(0, *place_of(head, voxel))
    shown(sequence).SetAndObserveTransformNodeID(transform.GetID())
    moved = (voxel[0] - 2, voxel[1], voxel[2] - 1)
    words = f"Voxel {moved[0]}, {moved[1]}, {moved[2]}"
    host.wait(lambda: words in panel.perfusion.ui.curveNote.text, 5)
    assert_curves_of(head, right, moved)


def test_a_saved_scene_restores_settings_map_quality_and_curves(host, panel, head, right, tmp_path):
    import slicer

    ui, parameters = panel.perfusion.ui, panel.context.parameters
    host.choose(ui.leakageSelector, "Bidirectional")
    host.click(ui.curvesButton)
    host.wait(lambda: column("voxel") is not None, 5)
    rows = ui.qualityTable.rowCount
    assert rows > 5
    path = tmp_path / "scene.mrb"
    assert slicer.mrmlScene.WriteToMRB(str(path))
    host.close_scene()
    settle(host, panel)
    assert panel.context.parameters.dsc is None
    assert not ui.mapsBox.visible
    assert not ui.processButton.enabled
    assert slicer.mrmlScene.ReadFromMRB(str(path), True)
    host.wait(lambda: panel.context.parameters.dsc is not None, 20)
    settle(host, panel)
    parameters = panel.context.parameters
    assert (parameters.dscEchoTime, parameters.dscRepetitionTime) == (TE_MS, TR_S)
    assert parameters.dscLeakage == "bidirectional"
    assert parameters.dscMotion is False
    np.testing.assert_allclose(values_of(parameters.acquired), right.maps["nrCBV"], rtol=1e-5, atol=1e-6)
    assert ui.qualityTable.rowCount == rows
    assert not ui.loadMapButton.enabled
    assert not parameters.dscAifManual
    host.wait(lambda: column("voxel") is not None, 5)
    assert_curves_of(head, right, right.aif.voxels[0])
    assert ui.processButton.enabled


def test_beside_a_synthetic_map_the_new_map_is_compared_and_shown_over_the_anatomy(host, head):
    import slicer

    from Testing.panel.roi_case import RoiCase

    panel = host.open_module("HierSynth").panel
    parameters = panel.context.parameters
    case = RoiCase(parameters, acquired=False)
    case.set_segment("NAWM reference", case.ball((-20, 0, 0), 25))
    choose_series(host, panel, add_sequence(head))
    run(host, panel)
    assert panel.perfusion.process.run.state == RunState.DONE, panel.perfusion.ui.processStatus.text
    host.wait(lambda: parameters.difference is not None, 60)
    np.testing.assert_array_equal(values_of(parameters.difference).shape, case.synthetic.shape)
    host.click(panel.perfusion.ui.curvesButton)
    settle_views(host)
    composite = slicer.app.layoutManager().sliceWidget("Red").mrmlSliceCompositeNode()
    assert composite.GetForegroundVolumeID() == parameters.acquired.GetID()
    assert composite.GetBackgroundVolumeID() == parameters.reference.GetID()
    host.click(panel.compare.ui.overlayButton)
    settle_views(host)
    assert composite.GetForegroundVolumeID() == parameters.synthetic.GetID()
