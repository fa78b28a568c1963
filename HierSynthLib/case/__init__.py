"""Case: which volume plays which part, what is missing and what does not fit."""

from HierSynthLib.case.adc import convert_adc
from HierSynthLib.case.checks import Check, check_roles, check_steps
from HierSynthLib.case.examination import examine
from HierSynthLib.case.folder import Case
from HierSynthLib.case.loading import find_problems, load_case
from HierSynthLib.case.problem import Problem, require_usable
from HierSynthLib.case.roles import ADC_UNITS, CBV_UNITS, REFERENCE_LABEL, SEQUENCES, Role

__all__ = [
    "ADC_UNITS",
    "CBV_UNITS",
    "REFERENCE_LABEL",
    "SEQUENCES",
    "Case",
    "Check",
    "Problem",
    "Role",
    "check_roles",
    "check_steps",
    "convert_adc",
    "examine",
    "find_problems",
    "load_case",
    "require_usable",
]
