"""The section that names the present result and says how it was made."""

from collections.abc import Callable
from typing import Any

import qt
import slicer
import vtk

from HierSynthLib.synthesis.summary import provenance_lines
from HierSynthPanel import nodes
from HierSynthPanel.context import PanelContext
from HierSynthPanel.parameters import HierSynthParameters
from HierSynthPanel.result_nodes import PARAMETER_OF_MAP, maps_of_same_run


class ResultSection:
    """Chooses the synthetic map to look at and shows its run.json.

    Args:
        context: the panel's.
        on_show: called when the user wants to see the chosen map.
    """

    def __init__(self, context: PanelContext, on_show: Callable[[], None]) -> None:
        self._on_show = on_show
        self._parameters: HierSynthParameters | None = None
        self._gui_tag = self._observer = 0
        self._shown_run: str | None = None
        self.widget = context.load_ui("Result")
        self.ui = slicer.util.childWidgetVariables(self.widget)
        self.ui.syntheticSelector.addAttribute("vtkMRMLScalarVolumeNode", nodes.MAP, "synthetic")
        self.ui.provenanceTable.horizontalHeader().visible = False
        self.ui.provenanceTable.verticalHeader().visible = False
        self.ui.provenanceTable.horizontalHeader().stretchLastSection = True
        self.ui.showButton.clicked.connect(self._show)

    def set_parameters(self, parameters: HierSynthParameters) -> None:
        """Show and change these parameters from now on."""
        self.release()
        self._parameters = parameters
        self._gui_tag = parameters.connectGui(self.widget)
        self._observer = parameters.AddObserver(vtk.vtkCommand.ModifiedEvent, self._refresh)
        self._refresh()

    def release(self) -> None:
        """Let the parameters go: neither show nor change them until there are others."""
        if self._parameters is not None:
            self._parameters.disconnectGui(self._gui_tag)
            self._parameters.RemoveObserver(self._observer)
            self._parameters = None

    def enter(self) -> None:
        """Nothing to do: the section follows the scene all the time."""

    def exit(self) -> None:
        """Nothing to do."""

    def cleanup(self) -> None:
        """Leave no observer behind."""
        self.release()

    def _show(self, *_args: object) -> None:
        self._on_show()

    def _refresh(self, *_args: object) -> None:
        node = self._parameters.synthetic
        self.ui.showButton.enabled = node is not None
        self.ui.provenanceButton.enabled = node is not None
        run = (node.GetAttribute(nodes.RUN) or "") if node is not None else ""
        if run == self._shown_run:
            return
        self._shown_run = run
        if node is not None:
            self._choose_maps_of(node)
        rows = provenance_lines(run) if run else []
        table = self.ui.provenanceTable
        table.rowCount = len(rows)
        for number, (name, text) in enumerate(rows):
            table.setItem(number, 0, qt.QTableWidgetItem(name))
            table.setItem(number, 1, qt.QTableWidgetItem(text))
        table.resizeColumnToContents(0)
        table.resizeRowsToContents()

    def _choose_maps_of(self, synthetic: Any) -> None:
        """Another result was chosen: its other maps and its anatomy go with it."""
        with slicer.util.NodeModify(self._parameters):
            for key, node in maps_of_same_run(synthetic).items():
                setattr(self._parameters, PARAMETER_OF_MAP[key], node)
            self._parameters.reference = synthetic.GetNodeReference(nodes.REFERENCE)
