"""What the names of MRI series say: node and file names, DICOM series descriptions.

The rules follow the conventions of BraTS, UCSF-PDGM, UPenn-GBM, TCGA and BIDS and the sequence names of Siemens, GE and
Philips, with English, German, French, Italian and Spanish words for contrast agent. The first one that fits decides.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from HierSynthLib.case.roles import Role


@dataclass(frozen=True)
class Reading:
    """What a name says.

    Attributes:
        role: the role that the image can play; None where it is known to be something else.
        what: in words what it is, e.g. "a perfusion series".
        general_for: roles that this name without a role is too general to contradict: an ADC map may come in a series
            that is called diffusion.
        native: whether the name says that no contrast agent had been given.
    """

    role: Role | None
    what: str
    general_for: tuple[Role, ...] = ()
    native: bool = False


def _other(what: str, *general_for: Role) -> Reading:
    return Reading(None, what, general_for)


_RULES: list[tuple[str, Reading]] = [
    (r"synth\w*|magic|symri|generated|predicted", _other("a synthetic image")),
    (r"brain ?(mask|seg\w*)", Reading(Role.BRAIN, "a brain mask")),
    (r"roi|seg|segs|segmentation|label ?map|labels?", Reading(Role.ROI, "a segmentation")),
    (r"\w*mask|parcellation|aseg|probabilit(y|ies)|prob ?map", _other("a mask")),
    (
        r"(loc|localizer|localiser|scout|survey|topo\w*|3 ?plane|calibration|asset|shim\w*|b1 ?map)",
        _other("a localiser"),
    ),
    (r"(tof|mra|mrv|angio\w*|veno\w*|pca|inhance)", _other("an angiogram")),
    (
        r"(bold|fmri|rest|resting|task|field ?map\w*|mrs|csi|spectro\w*|press|svs)",
        _other("another kind of examination"),
    ),
    (r"(ct|cta|ctp|ncct|cect|pet|fdg|spect)", _other("not an MRI")),
    (r"(spine|[ctl] spine|neck|orbits?|iac|iam|pituitary|sella|tmj|knee|liver)", _other("of another region")),
    (r"a ?cbv|arterial (cerebral )?blood volume", _other("an arterial blood volume")),
    (
        r"n?r? ?cbv(map)?.* (true|uncertainty|difference|residual|global|checkerboard|on grid)|k2"
        r"|(leakage|k2) (map|coefficient|index)",
        _other("not a CBV map itself"),
    ),
    (r"(n?r|rel)? ?cbv(map)?|(cerebral )?blood volume", Reading(Role.CBV_ACQUIRED, "a CBV map")),
    (
        r"(asl|pc ?asl|pasl|casl|arterial spin).* (m0|pd|transit|att|raw)|(transit delay|att|m0|m0scan)",
        _other("a part of an ASL acquisition"),
    ),
    (r"(3d)?(e?asl|pc ?asl|pasl|casl)|arterial spin\w*", Reading(Role.ASL, "an ASL image")),
    (
        r"(mtt|ttp|tmax|psr|ph|bat|k ?trans|kep|mean transit|time to peak|(rel|r) ?cbf|relative cerebral blood flow)",
        _other("another perfusion map"),
    ),
    (
        r"(dsc|dce|dyn\w*|perf\w*|pwi|twist|tresk|susceptibility contrast)",
        _other("a perfusion series", Role.CBV_ACQUIRED, Role.ASL),
    ),
    (r"cbf(map)?|cerebral blood flow", Reading(Role.ASL, "a blood flow map")),
    (
        r"e ?adc\w*|exp\w* .*(adc|diffusion)|(adc|diffusion).* exp\w*|exponential",
        _other("an exponential ADC"),
    ),
    (
        r"[ds]?adc(map|w|s)?|\w*diff\w*adc|apparent diff\w*|diffusion coeff\w*",
        Reading(Role.ADC, "an ADC map"),
    ),
    (
        r"b ?(0|[1-9]\d{1,3})|fa|colfa|md|rd|avdc|average dc|\w*tensor|ivim|dki|noddi",
        _other("a diffusion image that is no ADC map"),
    ),
    (
        r"\w*dwi\w*|dti\w*|\w*diff|diffusion\w*|\w*trace\w*|resolve",
        _other("a diffusion image that is no ADC map", Role.ADC),
    ),
    (
        r"swi|swip|swan|venbold|suscept\w*|qsm|ha?emo|t2 ?star\w*|t2s|me ?gre|medic|min ?ip|mip|pha|phase"
        r"|t2\w* (.* )?(gre|ffe|fl2d)|(gre|ffe|fl2d|grad\w* echo) (.* )?t2\w*",
        _other("a susceptibility-weighted or projected image"),
    ),
    (r"t[12]\w? ?(map\w*|rho|relax\w*)|r[12] ?map|inv ?[12]", _other("a map of relaxation")),
    (
        r"stir|dir|double inversion.*|psir|pd|pdw|proton|ciss|fiesta|b ?ssfp|true ?fisp|mt|mtc|apt\w*|cest",
        _other("another contrast"),
    ),
    (r"sub|subs|subtract\w*", _other("a subtraction of images")),
]
_COMPILED = [(re.compile(rf"\b(?:{pattern})\b"), reading) for pattern, reading in _RULES]

_PLANE = r"(?:ax|axi|sag|cor|tra|3d|2d)?"
_T1 = re.compile(rf"\b{_PLANE}[rsdmwbn]?t1(?:w|wi|n|weighted)?\b")
_T1_CONTRAST = re.compile(rf"\b{_PLANE}[rsdmwbn]?t1w?(?:c|ce|gd|gad|gado|km|post|contrast|wc|wce|wgd|inj)\b")
_T1_SEQUENCE = re.compile(r"\b(?:mprage|mp rage|f?spgr|bravo|mp2rage|ir ?f?spgr|tfl|3d tfe|3d t?ffe)\b")
_T2 = re.compile(rf"\b{_PLANE}[rsdmwbn]?t2(?:w|wi|weighted)?\b")
_FLAIR = re.compile(r"\b(?:\w*flair\w*|t2f|fla|flr|dark ?fluid|da fl|tirm|(?:spc|space) ir)\b")
_INVERSION_T1 = re.compile(r"\bt1\w* (?:\w+ ){0,3}?(?:\w*flair|tirm|dark ?fluid)|\bt1w?flair\b")

_NO = r"(?:without|w o|wo|no|non|pre|ohne|sans|sin|senza|before)"
_AGENT = r"(?:contrast\w*|gad\w*|gd|km|ce|inj\w*|mdc|iv|c)"
_NOT_ENHANCED = re.compile(
    rf"\b{_NO} {_AGENT}\b|\b(?:pre|precontrast|pregad\w*|pregd|nativ\w*|unenhanced|noncontrast|nocontrast|plain)\b"
)
_ENHANCED = re.compile(
    r"\b(?:post|postcontrast|postgad\w*|postgd|ce|gd|gad|gado\w*|contrast\w*|contraste|km|kontrast\w*|enhanced|mdc|inj\w*"
    r"|dotarem|magnevist|multihance|prohance|clariscan|\w*t1\w* c)\b"
)
_NOT_ABOUT_CONTRAST = re.compile(
    r"\b(?:post|pre) ?(?:op\w*|surg\w*|treat\w*|therap\w*|rt|radi\w*|tx|biops\w*|process\w*|resect\w*)\b"
)
_RELATION = re.compile(
    r"\b(?:co ?)?(?:reg\w*|aligned|resampled|warped|transformed)? ?(?:to|in|on|into|2) "
    r"(?:t[12]\w*|flair|adc|mni\d*|atlas|sri\d*|template|cbv|asl|dwi|dsc)\b(?: space\b)?"
)


def read_name(text: str) -> Reading | None:
    """What a name or series description says; None where it says nothing."""
    plain = plain_words(text)
    for pattern, reading in _COMPILED:
        if pattern.search(plain):
            return reading
    return _read_weighting(plain)


def plain_words(text: str) -> str:
    """The words of a name in lower case, separated by single spaces, with signs for contrast agent as words."""
    text = re.sub(r"(?<=[a-z0-9])(?=[A-Z][a-z])", " ", text).lower()
    text = re.sub(r"(?<![a-z0-9])(?:sub|ses)-[a-z0-9]+", " ", text)  # of BIDS
    text = re.sub(r"t2 ?\*", "t2star ", text)
    text = re.sub(r"\bw ?/ ?wo\b|\bw ?(?:/|&|and) ?w ?/? ?o\b", " pre post ", text)
    text = re.sub(r"\bw/o\b", " without ", text)
    text = re.sub(r"\+ ?c\b|\bc ?\+|(?<=t1)\+|(?<=t1w)\+|\+ ?(?=gd|gad|km)", " post ", text)
    text = re.sub(r"(?<=[a-z0-9])to(?=t[12]\b|flair\b)|(?<=[a-z])2(?=t[12]\b|flair\b)", " to ", text)
    words = " ".join(re.findall(r"[^\W_]+", text))
    words = _NOT_ABOUT_CONTRAST.sub(" ", words)
    return " ".join(_RELATION.sub(" ", words).split())


def _read_weighting(words: str) -> Reading | None:
    """Tell T1, T2 and FLAIR apart, and whether a contrast agent had been given."""
    inversion_t1 = bool(_INVERSION_T1.search(words))
    flair = bool(_FLAIR.search(words)) and not inversion_t1
    t1_given = bool(_T1_CONTRAST.search(words))
    t1 = t1_given or inversion_t1 or bool(_T1.search(words)) or bool(_T1_SEQUENCE.search(words))
    t2 = bool(_T2.search(words)) and not flair
    if not (flair or t1 or t2):
        return None
    if t1 + t2 + flair > 1:
        return _other("named after more than one sequence")
    role = Role.FLAIR if flair else Role.T1 if t1 else Role.T2
    without = bool(_NOT_ENHANCED.search(words))
    given = t1_given or bool(_ENHANCED.search(_NOT_ENHANCED.sub(" ", words)))
    if given:
        return _other(f"{role} {'with and without' if without else 'after'} contrast agent")
    return Reading(role, str(role), native=without)


_BETTER = re.compile(r"\b(?:mprage|mp rage|f?spgr|bravo|space|spc|cube|vista|\w*3d|tfe|tfl|isotropic|iso)\b")
_CORRECTED = re.compile(r"\b(?:bias|n4|corrected|corr)\b")
_WORSE = re.compile(r"\b(?:fs|fatsat|fat|spair|spir|haste|ssfse|nd|motion|repeat\w*|rpt|bad)\b")
_REFORMATTED = re.compile(r"\b(?:mpr|reformat\w*|rfmt|resampled|rotated|thick)\b")


def preference(text: str) -> int:
    """How well an image suits its role among others that could play it, by its name: larger is better."""
    words = plain_words(text)
    found = [bool(rule.search(words)) for rule in (_BETTER, _CORRECTED, _WORSE, _REFORMATTED)]
    return 2 * found[0] + found[1] - found[2] - 3 * found[3]
