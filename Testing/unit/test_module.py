"""The scripted module, loaded as Slicer loads it, in a Python that has only stand-ins for Slicer's own modules."""

import ast
import importlib.util
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from unittest import TestCase

import pytest
from PIL import Image

from Testing.unit.test_light_import import LIGHT

ROOT = Path(__file__).resolve().parents[2]
MODULE_FILE = ROOT / "HierSynthModule" / "HierSynth.py"

#: Besides the standard library, what may be imported before the user has pressed a button.
SLICER = {"slicer", "qt", "ctk", "vtk", "numpy"}
LIGHT_HALF = {"HierSynthLib", *(f"HierSynthLib.{name}" for name in LIGHT)}


class ScriptedLoadableModule:
    def __init__(self, parent):
        self.parent = parent


class ScriptedLoadableModuleWidget:
    def setup(self):
        self.layout = Layout()


class ScriptedLoadableModuleLogic:
    pass


class ScriptedLoadableModuleTest(TestCase):
    __test__ = False


class Layout:
    def __init__(self):
        self.widgets = []

    def addWidget(self, widget):  # noqa: N802
        self.widgets.append(widget)

    def addStretch(self, factor):  # noqa: N802
        pass


class Label:
    """Qt properties only: a call of setText would fail, as it must for a module written in PythonQt's manner."""

    text = ""
    wordWrap = False  # noqa: N815


@pytest.fixture
def module(monkeypatch):
    """HierSynth.py, imported under its own name between stand-ins of `slicer` and `qt`."""
    slicer = ModuleType("slicer")
    slicer.app = SimpleNamespace(startupCompleted=SimpleNamespace(connect=lambda slot: None))
    base_classes = ModuleType("slicer.ScriptedLoadableModule")
    for base in (
        ScriptedLoadableModule,
        ScriptedLoadableModuleWidget,
        ScriptedLoadableModuleLogic,
        ScriptedLoadableModuleTest,
    ):
        setattr(base_classes, base.__name__, base)
    translation = ModuleType("slicer.i18n")
    translation.tr = lambda text: text
    qt = ModuleType("qt")
    qt.QLabel = Label
    for stand_in in (slicer, base_classes, translation, qt):
        monkeypatch.setitem(sys.modules, stand_in.__name__, stand_in)
    return load(MODULE_FILE)


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("HierSynth", path)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


@pytest.fixture
def no_library(monkeypatch):
    """A Python in which HierSynthLib is not importable; afterwards all is as before."""
    for name in library_modules():
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "path", [folder for folder in sys.path if not (Path(folder) / "HierSynthLib").is_dir()])
    assert importlib.util.find_spec("HierSynthLib") is None
    yield
    for name in library_modules():
        del sys.modules[name]


def library_modules() -> list[str]:
    return [name for name in sys.modules if name.split(".")[0] == "HierSynthLib"]


def test_metadata_names_category_purpose_and_origin(module):
    parent = SimpleNamespace()
    module.HierSynth(parent)
    assert parent.title == "HierSynth"
    assert parent.categories == ["Image Synthesis"]
    assert parent.contributors
    assert parent.dependencies == []
    assert "not for clinical use" in parent.helpText
    assert "not for clinical use" in parent.acknowledgementText
    assert "re-implementation from the abstract" in parent.acknowledgementText
    assert "Engineering Applications of Artificial Intelligence" in parent.acknowledgementText


def test_slicer_finds_the_four_classes_by_their_names(module):
    assert issubclass(module.HierSynth, ScriptedLoadableModule)
    assert issubclass(module.HierSynthWidget, ScriptedLoadableModuleWidget)
    assert issubclass(module.HierSynthLogic, ScriptedLoadableModuleLogic)
    assert issubclass(module.HierSynthTest, ScriptedLoadableModuleTest)


def test_status_names_version_and_folder_of_the_library(module):
    version = ast.literal_eval((ROOT / "HierSynthLib/__init__.py").read_text().split("__version__ = ")[1].split()[0])
    status = module.HierSynthLogic().status()
    assert f"HierSynth {version} " in status
    assert str(ROOT / "HierSynthLib") in status


def test_library_of_a_source_checkout_is_found_without_installation(module, no_library):
    assert Path(module.HierSynthLogic().library().__file__) == ROOT / "HierSynthLib" / "__init__.py"
    # Last on the path: the checkout's other folders must not hide anything of Slicer.
    assert sys.path[-1] == str(ROOT)


def test_installed_library_beside_the_module_is_preferred(module, no_library, tmp_path, monkeypatch):
    installed = tmp_path / "HierSynthLib" / "__init__.py"
    installed.parent.mkdir()
    installed.write_text('__version__ = "9.8.7"\n')
    # Not syspath_prepend: when it is undone it would leave the path of the fixture to all later tests.
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert "HierSynth 9.8.7 " in module.HierSynthLogic().status()
    assert str(ROOT) not in sys.path


def test_panel_says_why_there_is_no_library_and_what_to_do(module, no_library, tmp_path):
    lonely = tmp_path / "HierSynthModule" / "HierSynth.py"
    lonely.parent.mkdir()
    lonely.write_bytes(MODULE_FILE.read_bytes())
    widget = load(lonely).HierSynthWidget()
    widget.setup()
    text = widget.layout.widgets[0].text
    assert "HierSynthLib cannot be loaded: No module named 'HierSynthLib'." in text
    assert "Install HierSynth again" in text


def test_icon_is_a_png_of_128_by_128_pixels():
    icon = ROOT / "HierSynthModule" / "Resources" / "Icons" / "HierSynth.png"
    with Image.open(icon) as image:
        assert (image.format, image.size) == ("PNG", (128, 128))
        # Not an empty square: the brain uses many grey and colour values.
        assert len(image.convert("RGB").getcolors(128 * 128)) > 256


@pytest.mark.parametrize("path", sorted((ROOT / "HierSynthModule").rglob("*.py")), ids=lambda path: path.name)
def test_module_imports_at_file_scope_only_what_slicer_brings(path):
    own = {file.stem for file in MODULE_FILE.parent.rglob("*.py")} | {
        folder.name for folder in MODULE_FILE.parent.iterdir() if folder.is_dir()
    }
    imported = file_scope_imports(path.read_text(encoding="utf-8"))
    assert {name for name in imported if name.startswith("HierSynthLib")} <= LIGHT_HALF
    others = {name.split(".")[0] for name in imported if not name.startswith("HierSynthLib")}
    assert others <= sys.stdlib_module_names | SLICER | own


def file_scope_imports(source: str) -> set[str]:
    """The modules that are imported when the file is imported; imports within functions do not count."""
    names: set[str] = set()
    open_nodes: list[ast.AST] = list(ast.parse(source).body)
    while open_nodes:
        node = open_nodes.pop()
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module)
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            open_nodes.extend(ast.iter_child_nodes(node))
    return names


def test_file_scope_imports_are_seen_within_blocks_and_not_within_functions():
    source = "try:\n    import torch.nn\nexcept ImportError:\n    from scipy import stats\ndef f():\n    import monai\n"
    assert file_scope_imports(source) == {"torch.nn", "scipy"}
