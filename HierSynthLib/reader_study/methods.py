"""A paragraph on the methods of a study, for a paper."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from HierSynthLib import __version__
from HierSynthLib.reader_study.conduct import Conduct, planned_presentations
from HierSynthLib.reader_study.form import Form, Item
from HierSynthLib.reader_study.key import Key
from HierSynthLib.reader_study.matching import SMOOTHING
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


class _Tense(NamedTuple):
    """What has been done in a closed study will be done in an open one."""

    done: bool

    @property
    def was(self) -> str:
        """Of one, before a participle."""
        return "was" if self.done else "will be"

    @property
    def were(self) -> str:
        """Of several, before a participle."""
        return "were" if self.done else "will be"

    def verb(self, past: str, plain: str) -> str:
        """Such as "read", or "will read"."""
        return past if self.done else f"will {plain}"


def methods_of(folder: Path, key_path: Path | None = None) -> str:
    """The paragraph of a study folder; see `methods_paragraph`.

    Args:
        folder: of the study.
        key_path: its key, or None.

    Raises:
        InputError: there is no study or record, or the key belongs to another one.
    """
    study = Study.read(folder)
    return methods_paragraph(study, Conduct.read(study), None if key_path is None else Key.of(study, key_path))


def methods_paragraph(study: Study, conduct: Conduct, key: Key | None = None) -> str:
    """The paragraph: what was planned and, of a closed study, what was done.

    Args:
        study: as the reading part sees it, so that the paragraph can be written before the study is unblinded.
        conduct: what the record tells.
        key: names the arms, and counts cases and repetitions; None leaves that out.
    """
    known, tense = key.protocol if key else study.protocol, _Tense(conduct.closed)
    modes = {mode.kind for mode in known.modes}
    items = [item for item in study.form.items if modes & set(item.modes)]
    sentences = [
        "" if conduct.closed else "The study is not closed; this is what is planned.",
        *_who(study, conduct, key, tense),
        *_maps(known, tense),
        *_shown(known, tense),
        *_order(study, conduct, key, tense),
        *_asked(items, tense),
        *_statistics(items, repeated=bool(key and key.duplicates), tense=tense),
        *_end_points(study.form, items, known, tense),
        f"The study {tense.was} run and analysed with HierSynth {__version__}.",
    ]
    return " ".join(sentence for sentence in sentences if sentence)


def _who(study: Study, conduct: Conduct, key: Key | None, tense: _Tense) -> list[str]:
    protocol = key.protocol if key else study.protocol
    simulated = "simulated " if protocol.simulated_readers else ""
    readers = _capital(_count(len(protocol.readers), f"{simulated}reader"))
    begin = f"{readers} {tense.verb('read', 'read')} {_cases(study, key)} in"
    names = [arm.name for arm in sorted(protocol.arms, key=lambda arm: not arm.reference)]
    if names:
        sentences = [f"{begin} {_words(len(names))} arms: {_listed(names)}, with {names[0]} as reference."]
    else:
        sentences = [f"{begin} two or more arms, whose names are held in a separate key."]
    planned, read = len(planned_presentations(study)), len(conduct.read_presentations(study))
    if tense.done and read < planned:
        sentences.append(f"Of {planned} planned readings {read} were made.")
    return sentences


def _cases(study: Study, key: Key | None) -> str:
    """How many cases there are, without those for training, and how many of them are simulated patients."""
    if key is None:
        return "the cases" + (" (some or all of them simulated patients)" if study.simulated_cases else "")
    cases = set(key.cases.values()) - set(key.protocol.training_cases)
    simulated = len(cases & set(key.simulated))
    among = "all simulated patients" if simulated == len(cases) else f"{_words(simulated)} of them simulated patients"
    return _count(len(cases), "case") + (f" ({among})" if simulated else "")


def _maps(protocol: Protocol, tense: _Tense) -> list[str]:
    window, shown = protocol.display.window, protocol.display
    placed = "registered rigidly and brought" if protocol.align == "register" else "brought"
    return [
        f"The maps of all arms of a case were {placed} to one grid, that of the map with the largest voxels; unless "
        "all lay on it already, all of them, also the coarsest, were smoothed with the same Gaussian (standard "
        f"deviation {SMOOTHING:g} of the largest voxel edge of all arms along each axis) and sampled with cubic "
        "splines. Outside the voxels in which every arm has values, all were set to zero; inside, values were clipped "
        f"at {shown.ceiling:g} nrCBV and rounded to {shown.step:g} nrCBV or to the coarsest step found in an arm of "
        f"the case. All were stored in the same format under neutral names and {tense.were} shown with the same colour "
        f"table ({shown.color_map}) and window ({window[0]:g} to {window[1]:g} nrCBV).",
        "The key to the names is a separate file that the reading program does not open; the analysis takes it only "
        "after the study is closed.",
    ]


def _shown(protocol: Protocol, tense: _Tense) -> list[str]:
    sentences = [f"Readers {tense.verb('saw', 'see')} {_listed([_mode(mode) for mode in protocol.modes])}."]
    for mode in protocol.modes:
        if mode.kind == "turing":
            said = mode.instructions.strip().rstrip(".")
            told = f"told: “{said}”" if said else "given no further instructions"
            sentences.append(f"Before the visual Turing test they {tense.were} {told}.")
    return sentences


def _mode(mode: Mode) -> str:
    beside = f" (with {_listed(mode.sources)})" if mode.sources else ""
    return f"{_MODES[mode.kind]}{beside}"


def _order(study: Study, conduct: Conduct, key: Key | None, tense: _Tense) -> list[str]:
    parts = [
        "The order of cases was drawn for each reader with a fixed seed; the order of the arms was counterbalanced "
        "over cases and readers",
        *_washout(study, conduct, tense),
        *_repetitions(study, conduct, key, tense),
    ]
    if any(slot.training for reader in study.readers for slot in study.slots(reader)):
        training = _count(len(key.protocol.training_cases), "training case") if key else "training cases"
        one = key is not None and len(key.protocol.training_cases) == 1
        not_analysed = f"{'was' if one else 'were'} not analysed" if tense.done else "will not be analysed"
        parts.append(f"{training} {tense.verb('came', 'come')} first and {not_analysed}")
    amended = f"; {_count(conduct.amendments, 'answer')} so" if tense.done and conduct.amendments else ""
    stored = f"Answers {tense.were} stored when given, locked on submission, and amended only with a reason{amended}."
    return [f"{'; '.join(parts)}.", stored]


def _washout(study: Study, conduct: Conduct, tense: _Tense) -> list[str]:
    """Days between the sessions; what was asked for and what was not kept."""
    days = min(mode.washout_days for mode in study.protocol.modes)
    if max(slot.session for reader in study.readers for slot in study.slots(reader)) < 2:
        return []
    if not days:
        return [f"no time between the sessions with the same cases {tense.was} asked for"]
    early = [override.days for override in conduct.overrides]
    if not tense.done or not early:
        return [f"sessions with the same cases {tense.were} at least {days:g} days apart"]
    spread = f"{min(early):.1f}" if len(early) == 1 else f"{min(early):.1f} to {max(early):.1f}"
    return [
        f"sessions with the same cases were to be at least {days:g} days apart, but {_count(len(early), 'session')} "
        f"began after {spread} days (the reasons are in the record)"
    ]


def _repetitions(study: Study, conduct: Conduct, key: Key | None, tense: _Tense) -> list[str]:
    """How many hidden duplicates there are; only the key tells."""
    if key is None:
        return []
    rows = conduct.read_presentations(study) if tense.done else planned_presentations(study)
    repeated = sum(presentation in key.duplicates for _, presentation in rows)
    what = "readings" if tense.done else "planned readings"
    return [f"{repeated} of {len(rows)} {what} {tense.were} unannounced repetitions"] if repeated else []


def _asked(items: Sequence[Item], tense: _Tense) -> list[str]:
    sentences = []
    ratings = [item for item in items if item.kind == "likert"]
    for points in dict.fromkeys(len(item.options) for item in ratings):
        own = [_inside(item.text) for item in ratings if len(item.options) == points]
        verb = tense.was if len(own) == 1 else tense.were
        sentences.append(f"{_capital(_listed(own))} {verb} rated on {_words(points)} points.")
    for item in items:
        if item.purpose == "diagnosis":
            sure = any(other.about == item.id for other in items)
            chose = f"Readers {tense.verb('chose', 'choose')} {_options(item)} ({_inside(item.text)})"
            and_gave = f" and {'gave' if tense.done else 'give'} their confidence from 0 to 100" if sure else ""
            sentences.append(f"{chose}{and_gave}.")
    flags = [f"“{item.text}”" for item in items if item.kind == "flag"]
    if flags:
        sentences.append(f"They {'could' if tense.done else 'can'} flag {_listed(flags)}.")
    if any(item.purpose == "roi" for item in items):
        marked = "marked" if tense.done else "mark"
        sentences.append(f"Regions that they {marked} {tense.were} measured afterwards on every map of the case.")
    return sentences


def _statistics(items: Sequence[Item], *, repeated: bool, tense: _Tense) -> list[str]:
    purposes, were = {item.purpose for item in items}, tense.were
    sentences = []
    if "rating" in purposes:
        sentences.append(
            f"Ratings {were} compared by their mean difference, with 95 % intervals from a two-way model with "
            "random readers and cases and Satterthwaite's degrees of freedom, and by a Wilcoxon signed-rank test "
            "clustered by case (sign flips; p adjusted by Holm's method over all items and arms)."
        )
    if purposes & {"rating", "agreement", "diagnosis", "flag"}:
        sentences.append(
            f"Agreement between readers {tense.was} calculated as per cent agreement, weighted kappa (mean of pairs), "
            "Fleiss' kappa, Gwet's AC1 and AC2, Krippendorff's alpha and ICC(2,1) together."
        )
    if repeated:
        sentences.append(
            f"Agreement of readers with themselves {tense.was} taken from the repetitions (ICC, kappa, repeatability)."
        )
    if "diagnosis" in purposes:
        sentences.append(
            f"Areas under empirical ROC curves {were} compared for each reader by DeLong's method and over readers by "
            "the Obuchowski–Rockette analysis of variance with the degrees of freedom of Hillis."
        )
    if "origin" in purposes:
        sentences.append(
            f"The result of the visual Turing test {tense.was} the balanced accuracy, the mean of the shares of "
            "synthetic and of acquired maps that were recognised (50 % by guessing)."
        )
    if "preference" in purposes:
        sentences.append(f"Preferences {were} tested by flipping the signs of cases, for all readers together.")
    if purposes & {"origin", "preference", "flag"}:
        sentences.append(
            f"Shares {were} given Wilson's intervals, for all readers together with the effective number of answers "
            "under random readers and cases."
        )
    return sentences


def _end_points(form: Form, items: Sequence[Item], protocol: Protocol, tense: _Tense) -> list[str]:
    """How non-inferiority is judged: one-sided level, margin, primary end points, adjustment."""
    rated = [item for item in items if item.purpose == "rating" and _comparisons([item], protocol) != 0]
    if not rated:
        return []
    primary = [item for item in rated if item.primary]
    if not primary and any(item.primary for item in form.items):
        return ["The primary end point of the form is not asked in these modes, so no rating is judged."]
    judged = primary or rated
    margins = sorted({protocol.margin if item.margin is None else item.margin for item in judged})
    sentences = [
        f"Non-inferiority {tense.was} tested one-sided at 2.5 % (lower end of the two-sided 95 % interval against "
        f"−margin), with a margin of {_listed([f'{value:g}' for value in margins])} points."
    ]
    if primary:
        names = _listed([_inside(item.text) for item in primary])
        kind, was, be = ("end point", "was", "is") if len(primary) == 1 else ("end points", "were", "are")
        declared = f"declared primary {kind} {be}"
        if tense.done:
            declared = f"primary {kind} declared before reading began {was}"
        rest = f"; the other ratings {tense.were} described without a verdict" if len(primary) < len(rated) else ""
        sentences.append(f"The {declared} {names}{rest}.")
    else:
        sentences.append(f"No primary end point was declared, so all ratings {tense.were} judged.")
    count = _comparisons(judged, protocol)
    if count != 1:
        over = "all judged items and arms" if count is None else f"all {_words(count)} judged comparisons"
        sentences.append(f"The p of the margin {tense.was} adjusted by Holm's method over {over}.")
    return sentences


def _comparisons(items: Sequence[Item], protocol: Protocol) -> int | None:
    """How often an item is compared between an arm and the reference; None where the arms are not known."""
    if not protocol.arms:
        return None
    return sum(
        len(mode.arms) - 1
        for item in items
        for mode in protocol.modes
        if mode.kind in item.modes and not mode.paired and protocol.reference in mode.arms
    )


def _options(item: Item) -> str:
    return " or ".join(_inside(option.label) for option in item.options)


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
