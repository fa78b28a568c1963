"""The stand-in host, shared by all tests of the panel.

Tests are written as code in Slicer: Qt properties are attributes (`button.enabled`, `label.text`), and `import qt` or
`import slicer` work inside functions.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from HierSynthLib.perfusion.maps import PerfusionMaps
from Testing.host import Host
from Testing.host.properties import PROPERTIES
from Testing.host.views import LayoutManager
from Testing.host.views.slice_widget import SliceWidget
from Testing.panel.perfusion_case import expected, small_head
from Testing.panel.view_steps import four_up
from Testing.unit.test_perfusion_head import Head


@pytest.fixture(scope="session")
def host() -> Host:
    """The application, once for all tests."""
    running = Host.start(offscreen=True)
    running.style.choose("Testing.panel", PROPERTIES)
    return running


@pytest.fixture(autouse=True)
def _fresh_application(host: Host) -> Iterator[None]:
    """Every test leaves neither module nor nodes behind, and fails if a slot or an observer has raised an error."""
    host.watch_errors()
    yield
    errors = list(host.errors)
    host.reset()
    assert not errors, f"errors in slots or observers: {errors!r}"


@pytest.fixture(scope="session")
def head() -> Head:
    """A head whose perfusion is known, on a coarse grid; do not change it."""
    return small_head()


@pytest.fixture(scope="session")
def right(head: Head) -> PerfusionMaps:
    """What the processing gives for that head."""
    return expected(head)


@pytest.fixture
def job_folders(host: Host) -> Path:
    """The folder in which the panel makes its job folders."""
    return Path(host.app.temporaryPath) / "HierSynth"


@pytest.fixture
def layout_manager(host: Host) -> LayoutManager:
    """The layout manager, showing four views."""
    return four_up(host)


@pytest.fixture
def red(layout_manager: LayoutManager) -> SliceWidget:
    """The axial view of that layout."""
    return layout_manager.sliceWidget("Red")
