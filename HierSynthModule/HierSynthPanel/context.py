"""What the sections of the panel share."""

from collections.abc import Callable
from dataclasses import dataclass

import qt
import slicer

from HierSynthPanel.parameters import HierSynthParameters
from HierSynthPanel.worker_link import WorkerLink


@dataclass
class PanelContext:
    """Handed to every section.

    Attributes:
        parameters: the present parameter node; another one after a scene was closed or loaded.
        link: the background process.
        resource: file name relative to Resources → path.
    """

    parameters: HierSynthParameters
    link: WorkerLink
    resource: Callable[[str], str]

    def load_ui(self, name: str) -> qt.QWidget:
        """Build the widget of Resources/UI/NAME.ui and connect its node selectors to the scene."""
        widget = slicer.util.loadUI(self.resource(f"UI/{name}.ui"))
        widget.setMRMLScene(slicer.mrmlScene)
        return widget
