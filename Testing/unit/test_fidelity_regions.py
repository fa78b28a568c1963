"""Regions: what is accepted, what is refused in one clear line, and their way through JSON."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from HierSynthLib.errors import InputError
from HierSynthLib.fidelity.regions.shapes import Box, Curve, Labels, Region, Sphere

TURNED = Rotation.from_euler("xyz", (10, -20, 30), degrees=True).as_matrix()
SPHERE = {"kind": "sphere", "centre": [1.0, 2.0, 3.0], "radius_mm": 3.0}
BOX = {"kind": "box", "centre": [0, 0, 0], "axes": [[1, 0, 0], [0, 1, 0], [0, 0, 1]], "size_mm": [1, 2, 3]}
CURVE = {"kind": "curve", "points": [[0, 0, 0], [9, 0, 0], [0, 9, 0]], "thickness_mm": 2}
LABELS = {"kind": "labels", "file": "labels.nii.gz", "values": [1, 4]}
lengths = st.floats(1e-3, 1e3)
positions = st.lists(st.floats(-1e3, 1e3), min_size=3, max_size=3)


@given(centre=positions, radius=lengths, size=st.lists(lengths, min_size=3, max_size=3), role=st.sampled_from(
    ["lesion", "hotspot", "reference", "brain"]
))  # fmt: skip
def test_json_gives_the_same_region_back(centre, radius, size, role):
    curve = Curve(np.array([(0, 0, 0), (5, 0, 1), (5, 5, 0.0)]) + centre, radius)
    shapes = (Sphere(centre, radius), Box(centre, TURNED, size), curve, Labels(Path("a b/ö.npy"), (3, 255)))
    text = json.dumps(Region("Tumour", role, shapes, "drawn").to_json())
    back = Region.from_json(json.loads(text))
    assert json.dumps(back.to_json()) == text
    assert (back.name, back.role, back.source) == ("Tumour", role, "drawn")
    np.testing.assert_array_equal(back.shapes[0].centre, centre)
    np.testing.assert_array_equal(back.shapes[1].axes, TURNED)
    np.testing.assert_array_equal(back.shapes[2].points, curve.points)
    assert (back.shapes[3].file, back.shapes[3].values) == (Path("a b/ö.npy"), (3, 255))


def test_axes_are_rows_of_the_matrix_whose_columns_are_the_edges():
    box = Region("Box", shapes=(Box([0, 0, 0], TURNED, [1, 2, 3]),)).to_json()["shapes"][0]
    assert box["axes"][0] == TURNED[0].tolist()


def test_shapes_cannot_be_changed_from_outside():
    centre = np.zeros(3)
    sphere = Sphere(centre, 2)
    centre[0] = 5
    assert sphere.centre[0] == 0
    with pytest.raises(ValueError, match="read-only"):
        sphere.centre[0] = 5


@pytest.mark.parametrize(
    ("shape", "fault"),
    [
        (SPHERE | {"radius_mm": 0}, "radius_mm is 0"),
        (SPHERE | {"radius_mm": -1.5}, "radius_mm is -1.5"),
        (SPHERE | {"radius_mm": float("inf")}, "radius_mm is inf"),
        (SPHERE | {"radius_mm": "3"}, "radius_mm is '3'"),
        (SPHERE | {"radius_mm": True}, "radius_mm is True"),
        (SPHERE | {"centre": [1, 2]}, r"centre is \[1, 2\]"),
        (SPHERE | {"centre": [1, 2, float("nan")]}, "centre is"),
        (SPHERE | {"centre": ["1", "2", "3"]}, "centre is"),
        ({"kind": "sphere", "centre": [1, 2, 3]}, "'radius_mm' is missing"),
        (SPHERE | {"diameter": 3}, "'diameter' is unknown"),
        (SPHERE | {"kind": "ball"}, "the kind is 'ball'"),
        ("sphere", "the kind is 'sphere'"),
        (BOX | {"size_mm": [1, 0, 2]}, "size_mm is"),
        (BOX | {"axes": [[1, 0, 0], [0, 1, 0], [0, 1, 0]]}, "axes are not three unit vectors"),
        (BOX | {"axes": [[2, 0, 0], [0, 2, 0], [0, 0, 2]]}, "axes are not three unit vectors"),
        (BOX | {"axes": [1, 0, 0]}, "axes is"),
        (CURVE | {"points": [[0, 0, 0], [1, 0, 0]]}, "points has 2 different points"),
        (CURVE | {"points": [[0, 0, 0], [1, 0, 0], [0, 0, 0], [1, 0, 0]]}, "points has 2 different points"),
        (CURVE | {"points": [[0, 0, 0], [1, 0], [0, 1, 0]]}, "points is"),
        (CURVE | {"points": []}, "points is"),
        (CURVE | {"thickness_mm": None}, "thickness_mm is None"),
        (LABELS | {"values": []}, r"values is \[\]"),
        (LABELS | {"values": [1.5]}, "values is"),
        (LABELS | {"values": [True]}, "values is"),
        (LABELS | {"file": " "}, "file is not the name"),
        (LABELS | {"file": 3}, "file is not the name"),
    ],
)
def test_a_faulty_shape_is_named_with_its_region_and_field(shape, fault):
    with pytest.raises(InputError, match=f"^The region 'Core', shape 2: {fault}") as caught:
        Region.from_json({"name": "Core", "shapes": [SPHERE, shape]})
    assert caught.value.hint
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        (None, "A region is None instead of fields"),
        ({"shapes": [SPHERE]}, "A region has no name"),
        ({"name": "  ", "shapes": [SPHERE]}, "A region has no name"),
        ({"name": "Core"}, "The shapes of the region 'Core' are no list"),
        ({"name": "Core", "shapes": []}, "The region 'Core' has no shapes"),
        ({"name": "Core", "shapes": [SPHERE], "role": "tumour"}, "The region 'Core' has the unknown role 'tumour'"),
        ({"name": "Core", "shapes": [SPHERE], "role": []}, "The region 'Core' has the unknown role"),
        ({"name": "Core", "shapes": [SPHERE], "source": 3}, "The source of the region 'Core' is no text"),
        ({"name": "Core", "shapes": [SPHERE], "colour": 3}, "The region 'Core' has the unknown field 'colour'"),
    ],
)
def test_a_faulty_region_is_named(fields, fault):
    with pytest.raises(InputError, match=f"^{fault}"):
        Region.from_json(fields)
