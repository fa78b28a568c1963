"""Puts the stand-ins where `import qt`, `import ctk` and `import slicer` find them.

Followed: Base/QTGUI/Resources/Python and Base/Python/slicer/__init__.py of Slicer.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import slicer

from Testing.host import packages, parameter_node, scripted_loading, scripted_module, translation
from Testing.host.dicom_database import DicomDatabase
from Testing.host.modules import make_modules
from Testing.host.qt_module import make_qt
from Testing.host.sample_data import install_sample_data
from Testing.host.ui_loader import CUSTOM_WIDGETS
from Testing.host.util_supplement import supplement_util
from Testing.host.widgets.collapsible_button import ctkCollapsibleButton
from Testing.host.widgets.mrml_widget import qMRMLWidget
from Testing.host.widgets.node_combo_box import qMRMLNodeComboBox
from Testing.host.widgets.path_line_edit import ctkPathLineEdit
from Testing.host.widgets.slider_widget import ctkDoubleSpinBox, ctkSliderWidget

CTK = (ctkCollapsibleButton, ctkDoubleSpinBox, ctkPathLineEdit, ctkSliderWidget)
QMRML = (qMRMLNodeComboBox, qMRMLWidget)


def install_names(app: Any, scene: Any, application_logic: Any) -> None:
    """Make the modules `qt`, `ctk`, `slicer` with its parts, and `SampleData` importable.

    Args:
        app: the Application.
        scene: vtkMRMLScene.
        application_logic: vtkSlicerApplicationLogic.
    """
    sys.modules["qt"] = make_qt()
    ctk = ModuleType("ctk", "Widgets of CTK.")
    for widget in CTK:
        setattr(ctk, widget.__name__, widget)
    sys.modules["ctk"] = ctk
    CUSTOM_WIDGETS.update({widget.__name__: widget for widget in (*CTK, *QMRML)})
    loading = (scripted_loading.qSlicerScriptedLoadableModule, scripted_loading.qSlicerScriptedLoadableModuleWidget)
    for cls in (*QMRML, *loading):
        setattr(slicer, cls.__name__, cls)
    slicer.app = app
    slicer.mrmlScene = scene
    slicer.dicomDatabase = DicomDatabase()
    slicer.selfTests = {}
    slicer.modules = make_modules(application_logic, scene)
    _add_part("i18n", translation)
    _add_part("ScriptedLoadableModule", scripted_module)
    _add_part("packaging", packages)
    _add_part("parameterNodeWrapper", parameter_node)
    supplement_util()
    install_sample_data()


def _add_part(name: str, module: ModuleType) -> None:
    setattr(slicer, name, module)
    sys.modules[f"slicer.{name}"] = module
