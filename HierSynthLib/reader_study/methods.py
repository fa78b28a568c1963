"""A paragraph on the methods of a study, for a paper."""

from __future__ import annotations

from collections.abc import Sequence

from HierSynthLib import __version__
from HierSynthLib.reader_study.form import Item
from HierSynthLib.reader_study.protocol import Mode, Protocol
from HierSynthLib.reader_study.study import Study

_MODES = {
    "single": "one map at a time",
    "side_by_side": "two unnamed maps of a case side by side on balanced sides",
    "turing": "one map at a time in a visual Turing test",
    "unblinded": "two named maps of a case side by side",
    "roi": "one map at a time for marking regions",
}
_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


def methods_paragraph(study: Study, protocol: Protocol | None = None, cases: int | None = None) -> str:
    """The paragraph.

    Args:
        study: as the reading part sees it, so that the paragraph can be written before the study is unblinded.
        protocol: the whole one of the key, which names the arms; None leaves them unnamed.
        cases: number of cases without training; None leaves it out.
    """
    known = protocol or study.protocol
    modes = {mode.kind for mode in known.modes}
    items = [item for item in study.form.items if modes & set(item.modes)]
    sentences = [
        _who(known, cases),
        _maps(known),
        *_shown(known),
        _order(known),
        *_asked(items, known.margin),
        *_statistics(items, known),
        f"The study was run and analysed with HierSynth {__version__}.",
    ]
    return " ".join(sentences)


def _who(protocol: Protocol, cases: int | None) -> str:
    simulated = "simulated " if protocol.simulated_readers else ""
    readers = f"{_count(len(protocol.readers), f'{simulated}reader')}"
    what = "the cases" if cases is None else _count(cases, "case")
    names = [arm.name for arm in sorted(protocol.arms, key=lambda arm: not arm.reference)]
    if not names:
        return f"{_capital(readers)} read {what} in two or more arms, whose names are held in a separate key."
    arms = f"{_words(len(names))} arms: {_listed(names)}"
    return f"{_capital(readers)} read {what} in {arms}, with {names[0]} as reference."


def _maps(protocol: Protocol) -> str:
    window, shown = protocol.display.window, protocol.display
    placed = "registered rigidly and resampled" if protocol.align == "register" else "resampled"
    return (
        f"The maps of all arms of a case were {placed} to one grid, clipped at {shown.ceiling:g} nrCBV, rounded to "
        f"{shown.step:g} nrCBV and stored in the same format under neutral names; all were shown with the same colour "
        f"table ({shown.color_map}) and window ({window[0]:g} to {window[1]:g} nrCBV). The key to the names was kept "
        "in a separate file that was not opened before the study was closed."
    )


def _shown(protocol: Protocol) -> list[str]:
    sentences = [f"Readers saw {_listed([_mode(mode) for mode in protocol.modes])}."]
    for mode in protocol.modes:
        if mode.kind == "turing":
            said = mode.instructions.strip().rstrip(".")
            told = f"were told: “{said}”" if said else "were given no further instructions"
            sentences.append(f"Before the visual Turing test they {told}.")
    return sentences


def _mode(mode: Mode) -> str:
    beside = f" (with {_listed(mode.sources)})" if mode.sources else ""
    return f"{_MODES[mode.kind]}{beside}"


def _order(protocol: Protocol) -> str:
    parts = [
        "The order of cases was drawn for each reader with a fixed seed; the order of the arms was counterbalanced "
        "over cases and readers",
        f"sessions with the same cases were at least {min(mode.washout_days for mode in protocol.modes):g} days apart",
    ]
    if protocol.duplicates:
        parts.append(f"{100 * protocol.duplicates:g} % of the cases of each arm were shown a second time, unannounced")
    if protocol.training_cases:
        parts.append(f"{_count(len(protocol.training_cases), 'training case')} came first and were not analysed")
    return f"{'; '.join(parts)}. Answers were stored when given, locked on submission, and amended only with a reason."


def _asked(items: Sequence[Item], margin: float) -> list[str]:
    sentences = []
    ratings = [item for item in items if item.kind == "likert"]
    for points in dict.fromkeys(len(item.options) for item in ratings):
        own = [_inside(item.text) for item in ratings if len(item.options) == points]
        verb = "was" if len(own) == 1 else "were"
        sentences.append(f"{_capital(_listed(own))} {verb} rated on {_words(points)} points.")
    margins = {item.margin if item.margin is not None else margin for item in ratings if item.purpose == "rating"}
    if margins:
        values = _listed([f"{value:g}" for value in sorted(margins)])
        sentences.append(f"The margin of non-inferiority was {values} points.")
    for item in items:
        if item.purpose == "diagnosis":
            sure = any(other.about == item.id for other in items)
            sentences.append(
                f"Readers chose {_options(item)} ({_inside(item.text)})"
                f"{' and gave their confidence from 0 to 100' if sure else ''}."
            )
    flags = [f"“{item.text}”" for item in items if item.kind == "flag"]
    if flags:
        sentences.append(f"They could flag {_listed(flags)}.")
    if any(item.purpose == "roi" for item in items):
        sentences.append("Regions that they marked were measured afterwards on every map of the case.")
    return sentences


def _statistics(items: Sequence[Item], protocol: Protocol) -> list[str]:
    purposes = {item.purpose for item in items}
    sentences = []
    if "rating" in purposes:
        sentences.append(
            "Ratings were compared by their mean difference, with 95 % intervals from a two-way model with random "
            "readers and cases and Satterthwaite's degrees of freedom, and non-inferiority was concluded if the "
            "interval lay above the negative margin; a Wilcoxon signed-rank test clustered by case (sign flips) was "
            "added, with p adjusted by Holm's method."
        )
    if purposes & {"rating", "agreement", "diagnosis", "flag"}:
        sentences.append(
            "Agreement between readers is given as per cent agreement, weighted kappa (mean of pairs), Fleiss' kappa, "
            "Gwet's AC1 and AC2, Krippendorff's alpha and ICC(2,1) together."
        )
    if protocol.duplicates:
        sentences.append(
            "Agreement of readers with themselves was taken from the duplicates (ICC, kappa, repeatability)."
        )
    if "diagnosis" in purposes:
        sentences.append(
            "Areas under empirical ROC curves were compared for each reader by DeLong's method and over readers by the "
            "Obuchowski–Rockette analysis of variance with the degrees of freedom of Hillis."
        )
    if purposes & {"origin", "preference"}:
        sentences.append(
            "Shares have Wilson intervals, for all readers together with the number of answers divided by the design "
            "effect of readers and cases."
        )
    return sentences


def _options(item: Item) -> str:
    return " or ".join(option.label for option in item.options)


def _inside(text: str) -> str:
    """A text of the form inside a sentence: small first letter, no question mark."""
    return text[:1].lower() + text[1:].rstrip("?.: ")


def _count(number: int, what: str) -> str:
    return f"{_words(number)} {what}{'' if number == 1 else 's'}"


def _words(number: int) -> str:
    return _NUMBERS[number] if number < len(_NUMBERS) else str(number)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _listed(texts: Sequence[str]) -> str:
    """A, B and C; with semicolons where a part has a comma."""
    if len(texts) < 3:
        return " and ".join(texts)
    mark, last = ("; ", "; and ") if any("," in text for text in texts) else (", ", " and ")
    return mark.join(texts[:-1]) + last + texts[-1]
