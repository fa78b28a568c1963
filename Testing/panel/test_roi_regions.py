"""Nodes of the scene become regions of the library at the right place, with the right names."""

import numpy as np
import pytest

from HierSynthLib.fidelity.regions.shapes import Box, Curve, Labels, Sphere
from HierSynthLib.volume import read_volume
from Testing.panel.compare_case import CENTRE, scene_parameters
from Testing.panel.roi_case import SPACING, RoiCase, add_label_map


@pytest.fixture
def case(host):
    return RoiCase(scene_parameters())


@pytest.fixture
def files(tmp_path):
    from HierSynthPanel.volume_files import VolumeFiles

    return VolumeFiles(tmp_path)


@pytest.fixture
def collector(case, files):
    from HierSynthPanel.roi_regions import Collector

    return Collector(scene_parameters(), files)


def collect(collector, *nodes, reference=None):
    """The regions of nodes, by name, and the problems."""
    return collect_rest(collector.collect(nodes, reference))


def collect_rest(steps):
    """The regions, by name, and the problems, of a collection that may have begun."""
    end = {}
    list(iterated(steps, end))
    found = end["end"]
    assert len({region.name for region in found.regions}) == len(found.regions)
    return {region.name: region for region in found.regions}, found.problems


def iterated(steps, end):
    """The steps of a generator; afterwards its value is in `end`."""
    end["end"] = yield from steps


def positions_in(region):
    """(N, 3) sorted positions, RAS mm, of the voxels of a region of labels."""
    (labels,) = region.shapes
    assert isinstance(labels, Labels)
    volume = read_volume(labels.file)
    return in_order(volume.positions(np.argwhere(np.isin(volume.array, labels.values))))


def in_order(points):
    points = np.round(points, 3) + 0.0
    return points[np.lexsort(points.T)]


def shifted(node, matrix):
    """Put a node under a linear transform, (4, 4)."""
    import slicer

    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
    node.SetAndObserveTransformNodeID(transform.GetID())


TURN = np.array([[0, -1, 0, 10], [1, 0, 0, -20], [0, 0, 1, 5], [0, 0, 0, 1]], dtype=float)


def test_every_segment_is_a_region_of_its_voxels(case, collector):
    regions, problems = collect(collector, case.segmentation)
    assert problems == []
    assert list(regions) == ["Tumour", "Oedema", "NAWM reference (Segmentation)"]
    for name, mask in zip(regions, case.masks.values(), strict=True):
        np.testing.assert_allclose(positions_in(regions[name]), in_order(case.points[mask]), atol=2e-3)
        assert regions[name].role == "lesion"
    assert regions["Tumour"].source == "segment Tumour of Segmentation"


def test_only_the_part_with_labels_is_written_and_only_when_it_changed(case, collector, tmp_path):
    regions, _ = collect(collector, case.segmentation)
    file = regions["Tumour"].shapes[0].file
    assert file.stat().st_size < case.synthetic.size / 10
    again, _ = collect(collector, case.segmentation)
    assert again["Tumour"].shapes[0].file == file
    case.set_segment("Tumour", case.ball((20, 5, 3), 6))
    changed, _ = collect(collector, case.segmentation)
    assert changed["Tumour"].shapes[0].file != file
    # Both segments are in the same image.
    assert changed["Oedema"].shapes[0].file == regions["Oedema"].shapes[0].file
    np.testing.assert_allclose(
        positions_in(changed["Tumour"]), in_order(case.points[case.ball((20, 5, 3), 6)]), atol=2e-3
    )
    assert len(list(tmp_path.glob("*.npy"))) == len({each.shapes[0].file for each in changed.values()})


def test_segments_under_a_linear_transform_lie_where_they_are_shown(case, collector):
    shifted(case.segmentation, TURN)
    regions, _ = collect(collector, case.segmentation)
    expected = case.points[case.masks["Tumour"]] @ TURN[:3, :3].T + TURN[:3, 3]
    np.testing.assert_allclose(positions_in(regions["Tumour"]), in_order(expected), atol=2e-3)


def test_a_warped_node_is_left_out_with_one_sentence(case, collector):
    import slicer
    import vtk

    warp = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLBSplineTransformNode")
    warp.SetAndObserveTransformToParent(vtk.vtkThinPlateSplineTransform())
    case.segmentation.SetAndObserveTransformNodeID(warp.GetID())
    regions, problems = collect(collector, case.segmentation)
    assert regions == {}
    assert problems == [
        "Segmentation lies under a transform that is not linear. "
        "Harden the transform first (module Data or Transforms)."
    ]


def test_an_empty_segment_is_a_region_without_voxels(case, collector):
    import slicer

    empty = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Empty")
    empty.GetSegmentation().AddEmptySegment("nothing", "Nothing")
    regions, problems = collect(collector, empty)
    assert problems == []
    assert len(positions_in(regions["Nothing"])) == 0


def test_a_segment_without_label_map_is_named(case, collector):
    import slicer
    import vtk

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Surfaces")
    node.SetSourceRepresentationToClosedSurface()
    sphere = vtk.vtkSphereSource()
    sphere.Update()
    node.AddSegmentFromClosedSurfaceRepresentation(sphere.GetOutput(), "Surface", [1, 0, 0])
    regions, problems = collect(collector, node)
    assert regions == {}
    assert problems == [
        "The segment Surface has no label map. Create it in the module Segmentations (binary labelmap)."
    ]


def test_every_label_of_a_label_map_is_a_region_named_by_its_colour(case, collector):
    import slicer

    labels = np.zeros(case.synthetic.shape, dtype=np.int16)
    labels[case.masks["Tumour"]], labels[case.masks["Oedema"]] = 2, 300
    node = add_label_map("Labels", labels, case.affine)
    colors = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLColorTableNode")
    colors.SetTypeToUser()
    colors.SetNumberOfColors(3)
    colors.SetColor(2, "Enhancing", 1, 0, 0, 1)
    node.CreateDefaultDisplayNodes()
    node.GetDisplayNode().SetAndObserveColorNodeID(colors.GetID())
    regions, _ = collect(collector, node)
    assert list(regions) == ["Enhancing", "Labels label 300"]
    np.testing.assert_allclose(
        positions_in(regions["Labels label 300"]), in_order(case.points[case.masks["Oedema"]]), atol=2e-3
    )


def test_a_box_has_the_size_and_directions_that_it_is_shown_with(case, collector):
    import slicer

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "Box")
    node.SetCenterWorld([1, 2, 3])
    node.SetSize([10, 20, 30])
    shifted(node, TURN)
    (box,) = collect(collector, node)[0]["Box"].shapes
    assert isinstance(box, Box)
    np.testing.assert_allclose(box.centre, TURN[:3, :3] @ [1, 2, 3] + TURN[:3, 3])
    np.testing.assert_allclose(box.axes, TURN[:3, :3], atol=1e-6)
    np.testing.assert_allclose(box.size_mm, [10, 20, 30])


def test_a_closed_curve_is_as_thick_as_chosen_or_as_a_slice(case, collector):
    import slicer

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsClosedCurveNode", "Outline")
    node.SetCurveTypeToLinear()
    corners = np.array([[0, 0, 0], [10, 0, 0], [10, 10, 0], [0, 10, 0]], dtype=float)
    for corner in corners:
        node.AddControlPointWorld(corner)
    (curve,) = collect(collector, node)[0]["Outline"].shapes
    assert isinstance(curve, Curve)
    assert curve.thickness_mm == pytest.approx(max(SPACING))
    assert {tuple(corner) for corner in corners} <= {tuple(np.round(point, 6)) for point in curve.points}
    scene_parameters().curveThickness = 7.5
    assert collect(collector, node)[0]["Outline"].shapes[0].thickness_mm == 7.5


@pytest.mark.parametrize("count", range(3))
def test_what_is_not_drawn_yet_is_named_and_the_rest_measured(case, collector, count):
    import slicer

    curve = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsClosedCurveNode", "C")
    for number in range(count):
        curve.AddControlPointWorld([10.0 * number, 0, 0])
    box = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "B")
    box.SetSize([0, 0, 0])
    segmentation = case.segmentation.GetSegmentation()
    segmentation.GetNthSegment(1).SetName("")
    regions, problems = collect(collector, curve, box, case.segmentation)
    assert list(regions) == ["Tumour", segmentation.GetNthSegmentID(1), "NAWM reference (Segmentation)"]
    assert problems == ["The curve C has fewer than three points.", "The box B has no size yet."]


def test_a_box_that_is_inside_out_is_measured_inside_and_that_is_said(case, collector):
    import slicer

    box = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "B")
    box.SetSize([5, 5, 5])
    box.SetInsideOut(True)
    regions, problems = collect(collector, box)
    assert list(regions) == ["B"]
    assert problems == ["The box B is inside out, but its inside is measured."]


def test_a_segment_that_is_removed_meanwhile_is_left_out(case, collector):
    segmentation = case.segmentation.GetSegmentation()
    steps = collector.collect([case.segmentation], None)
    next(steps)
    segmentation.RemoveSegment(segmentation.GetSegmentIdBySegmentName("Oedema"))
    regions, problems = collect_rest(steps)
    assert list(regions) == ["Tumour", "NAWM reference (Segmentation)"]
    assert problems == []


def test_an_edit_while_a_segment_is_read_gives_its_new_voxels(case, collector):
    steps = collector.collect([case.segmentation], None)
    next(steps)
    case.set_segment("Tumour", case.ball((20, 5, 3), 6))
    regions, _problems = collect_rest(steps)
    np.testing.assert_allclose(
        positions_in(regions["Tumour"]), in_order(case.points[case.ball((20, 5, 3), 6)]), atol=2e-3
    )


def test_a_large_segment_is_read_in_small_parts(case, monkeypatch):
    from HierSynthPanel import segment_labels

    segmentation = case.segmentation.GetSegmentation()
    tumour = segmentation.GetSegmentIdBySegmentName("Tumour")
    found, counts = [], []
    for voxels in (2**30, 1):
        monkeypatch.setattr(segment_labels, "SLAB_VOXELS", voxels)
        end = {}
        steps = segment_labels.SegmentLabels().of(case.segmentation, tumour, segmentation.GetSegment(tumour))
        counts.append(len(list(iterated(steps, end))))
        found.append(end["end"])
    assert counts[0] == 3
    assert counts[1] > 20
    np.testing.assert_array_equal(found[0][1].array, found[1][1].array)
    assert found[1][1].array.sum() == case.masks["Tumour"].sum()


def test_the_values_of_a_label_map_are_looked_for_once(case, collector, monkeypatch):
    from HierSynthPanel import roi_regions

    labels = np.zeros(case.synthetic.shape, dtype=np.int16)
    labels[case.masks["Tumour"]] = 2
    node = add_label_map("Labels", labels, case.affine)
    assert list(collect(collector, node)[0]) == ["Labels label 2"]
    monkeypatch.setattr(roi_regions.np, "unique", None)
    assert list(collect(collector, node)[0]) == ["Labels label 2"]
    monkeypatch.undo()
    labels[case.masks["Oedema"]] = 7
    import slicer

    slicer.util.updateVolumeFromArray(node, np.ascontiguousarray(labels.T))
    assert list(collect(collector, node)[0]) == ["Labels label 2", "Labels label 7"]


def test_every_placed_point_is_a_sphere(case, collector):
    import slicer

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "Points")
    node.AddControlPointWorld([1, 2, 3], "first")
    node.AddControlPointWorld([4, 5, 6], "second")
    node.UnsetNthControlPointPosition(1)
    scene_parameters().hotspotDiameter = 9.0
    regions, _ = collect(collector, node)
    assert list(regions) == ["first"]
    (sphere,) = regions["first"].shapes
    assert isinstance(sphere, Sphere)
    np.testing.assert_allclose(sphere.centre, [1, 2, 3])
    assert sphere.radius_mm == 4.5


def test_the_reference_is_its_segment_and_not_measured_twice(case, collector):
    from HierSynthPanel.roi_reference import chosen_reference

    reference = chosen_reference(scene_parameters())
    regions, _ = collect(collector, case.segmentation, reference=reference)
    assert list(regions) == ["Tumour", "Oedema", "NAWM reference"]
    assert regions["NAWM reference"].role == "reference"
    np.testing.assert_allclose(
        positions_in(regions["NAWM reference"]), in_order(case.points[case.masks["NAWM reference"]]), atol=2e-3
    )


def test_names_that_stand_twice_are_told_apart(case, collector):
    import slicer

    boxes = [slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode") for _ in range(3)]
    for box in boxes:
        box.SetName("Tumour")
        box.SetCenterWorld(CENTRE)
        box.SetSize([5, 5, 5])
    regions, _ = collect(collector, *boxes)
    assert list(regions) == ["Tumour", "Tumour (Tumour)", "Tumour (Tumour) 2"]
