"""The scripted module that 3D Slicer loads: shells only, everything that computes is in HierSynthLib."""

import importlib
import importlib.util
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import qt
import slicer
from slicer.i18n import tr as _
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)

if TYPE_CHECKING:
    from HierSynthPanel.panel import Panel


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
        slicer.app.startupCompleted.connect(register_sample_data)


def register_sample_data(*_args: object) -> None:
    """Offer the simulated patient in the module Sample Data."""
    import SampleData

    icons = Path(__file__).parent / "Resources" / "Icons"
    SampleData.SampleDataLogic.registerCustomSampleDataSource(
        category="HierSynth",
        sampleName="HierSynthPhantom",
        uris="hiersynth:phantom",
        fileNames=None,
        nodeNames=None,
        thumbnailFileName=str(icons / "HierSynth.png"),
        customDownloader=load_sample,
    )


def load_sample(_source: object) -> None:
    """Open the module and have it simulate a patient."""
    slicer.util.selectModule("HierSynth")
    panel = slicer.modules.hiersynth.widgetRepresentation().self().panel
    if panel is not None:
        panel.load_sample()


class HierSynthWidget(ScriptedLoadableModuleWidget):
    """The panel in Slicer's module area; `HierSynthPanel.panel.Panel` is what it shows."""

    def setup(self) -> None:
        """Build the panel when the module is opened for the first time."""
        super().setup()
        self.panel = None
        self.logic = HierSynthLogic()
        self.status = qt.QLabel()
        self.status.wordWrap = True
        self.status.text = self.logic.status()
        self.layout.addWidget(self.status)
        if self.logic.available:
            self.panel = self.logic.new_panel(self.resourcePath)
            for section in self.panel.sections:
                self.layout.addWidget(section.widget)
            slicer.app.aboutToQuit.connect(self.cleanup)
        self.layout.addStretch(1)

    def enter(self) -> None:
        """The user has opened the module."""
        if self.panel is not None:
            self.panel.enter()

    def exit(self) -> None:
        """The user has gone to another module."""
        if self.panel is not None:
            self.panel.exit()

    def cleanup(self) -> None:
        """The widget goes: end the worker, and leave no observer, timer or process behind."""
        if self.panel is not None:
            slicer.app.aboutToQuit.disconnect(self.cleanup)
            self.panel.cleanup()
            self.panel = None

    def onReload(self) -> None:
        """Reload the panel and the library with the module ("Reload" in developer mode)."""
        self.cleanup()
        for name in [name for name in sys.modules if name.partition(".")[0] in ("HierSynthPanel", "HierSynthLib")]:
            del sys.modules[name]
        super().onReload()


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

    @property
    def available(self) -> bool:
        """Whether the library can be imported."""
        try:
            self.library()
        except ImportError:
            return False
        return True

    def new_panel(self, resource: Callable[[str], str]) -> "Panel":
        """Build the panel.

        Args:
            resource: file name relative to Resources → path.
        """
        # Here and not above, because Slicer imports every module when it starts.
        from HierSynthPanel.panel import Panel

        return Panel(resource, self.getParameterNode)

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
    """Runs inside Slicer ("Reload and Test"): from a simulated patient to the overlay, through the panel's buttons."""

    def setUp(self) -> None:
        """Start from an empty scene."""
        slicer.mrmlScene.Clear()

    def runTest(self) -> None:
        """Run every test of this class."""
        self.setUp()
        self.test_library_is_found()
        self.setUp()
        self.test_sample_case_to_overlay()

    def test_library_is_found(self) -> None:
        """The status names the version of the library and not a reason for its absence."""
        logic = HierSynthLogic()
        self.assertIn(logic.library().__version__, logic.status())

    def test_sample_case_to_overlay(self) -> None:
        """A simulated patient is loaded, synthesised in the background and shown over its T1."""
        slicer.util.selectModule("HierSynth")
        panel = slicer.modules.hiersynth.widgetRepresentation().self().panel
        panel.runtime.check()
        self.wait_for(lambda: not panel.runtime.checking, 60)
        if panel.runtime.missing:
            self.skipTest(f"The Python of the background process lacks {', '.join(panel.runtime.missing)}.")
        panel.load_sample(size="small")
        self.wait_for(lambda: panel.run_section.ui.runButton.enabled, 120)
        panel.run_section.ui.runButton.click()
        self.wait_for(lambda: not panel.run.busy, 300)
        parameters = panel.context.parameters
        self.assertIsNotNone(parameters.synthetic, panel.run.details())
        self.assertIn("SYNTHETIC", parameters.synthetic.GetName())
        voxels = slicer.util.arrayFromVolume(parameters.synthetic)
        self.assertEqual(voxels.shape, slicer.util.arrayFromVolume(parameters.t1).shape)
        self.assertGreater(voxels.max(), 0)
        for name in slicer.app.layoutManager().sliceViewNames():
            composite = slicer.app.layoutManager().sliceWidget(name).mrmlSliceCompositeNode()
            if composite.GetForegroundVolumeID() == parameters.synthetic.GetID():
                self.assertEqual(composite.GetBackgroundVolumeID(), parameters.t1.GetID())
                break
        else:
            self.fail("No slice view shows the synthetic map.")

    def wait_for(self, condition: Callable[[], bool], seconds: float) -> None:
        """Let the application work until the condition holds."""
        end = time.monotonic() + seconds
        while not condition():
            self.assertLess(time.monotonic(), end, "It took too long.")
            slicer.app.processEvents()
            time.sleep(0.005)
