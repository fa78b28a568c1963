"""The scripted module that 3D Slicer loads: shells only, everything that computes is in HierSynthLib."""

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import qt
import slicer
from slicer.i18n import tr as _
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)


class HierSynth(ScriptedLoadableModule):
    """What Slicer shows about the module: title, category, help, acknowledgement."""

    def __init__(self, parent: object) -> None:
        super().__init__(parent)
        self.parent.title = "HierSynth"
        self.parent.categories = ["Image Synthesis"]
        self.parent.dependencies = []
        self.parent.contributors = ["The HierSynth developers"]
        self.parent.helpText = _(
            "Synthesises a cerebral blood volume (CBV) map from non-contrast brain MRI (T1, T2, FLAIR, ADC) in a "
            "background process, first the global map, then its local residual. "
            "<b>For research only, not for clinical use.</b> "
            'See the <a href="https://github.com/HierSynth/SlicerHierSynth">documentation</a>.'
        )
        self.parent.acknowledgementText = _(
            "An independent re-implementation from the abstract of the HierSynth paper (Hierarchical cerebral blood "
            "volume map synthesis from non-contrast magnetic resonance imaging sequences via global and local "
            "decomposition, Engineering Applications of Artificial Intelligence, 2026). The authors of the paper have "
            "no part in it. For research only, not for clinical use."
        )


class HierSynthWidget(ScriptedLoadableModuleWidget):
    """The panel: says whether the library is there."""

    def setup(self) -> None:
        """Build the panel when the module is opened for the first time."""
        super().setup()
        self.logic = HierSynthLogic()
        self.status = qt.QLabel()
        self.status.wordWrap = True
        self.status.text = self.logic.status()
        self.layout.addWidget(self.status)
        self.layout.addStretch(1)


class HierSynthLogic(ScriptedLoadableModuleLogic):
    """What the panel can do without its widgets."""

    def library(self) -> ModuleType:
        """Import HierSynthLib: it lies beside this file once installed, and beside its folder in a source checkout.

        Returns:
            The imported package.

        Raises:
            ImportError: it is in neither place, or one of its files is missing or broken.
        """
        checkout = Path(__file__).resolve().parent.parent
        if importlib.util.find_spec("HierSynthLib") is None and (checkout / "HierSynthLib" / "__init__.py").is_file():
            # At the end, so that no other folder of the checkout can hide a package of Slicer.
            sys.path.append(str(checkout))
        return importlib.import_module("HierSynthLib")

    def status(self) -> str:
        """Say which library is in use, or why there is none and what to do, in one or two sentences."""
        try:
            library = self.library()
        except ImportError as error:
            return _(
                "HierSynthLib cannot be loaded: {reason}. Install HierSynth again from the Extensions Manager, or add "
                "the folder HierSynthModule of a complete source checkout to the additional module paths."
            ).format(reason=error)
        return _("HierSynth {version} from {folder}. For research only, not for clinical use.").format(
            version=library.__version__, folder=Path(library.__file__).parent
        )


class HierSynthTest(ScriptedLoadableModuleTest):
    """Runs inside Slicer ("Reload and Test"): the installed module finds its library."""

    def setUp(self) -> None:
        """Start from an empty scene."""
        slicer.mrmlScene.Clear()

    def runTest(self) -> None:
        """Run every test of this class."""
        self.setUp()
        self.test_library_is_found()

    def test_library_is_found(self) -> None:
        """The status names the version of the library and not a reason for its absence."""
        logic = HierSynthLogic()
        self.assertIn(logic.library().__version__, logic.status())
