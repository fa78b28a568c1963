"""Forced choices: which map is preferred, and whether readers tell a synthetic map from an acquired one."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from HierSynthLib.fidelity.cohort.statistics import Estimate
from HierSynthLib.reader_study.analysis.crossed import crossed_mean
from HierSynthLib.reader_study.analysis.resampling import sign_flip_p
from HierSynthLib.reader_study.analysis.shares import clustered_share, share_of

Values = NDArray[np.float64]


def preference(choices: Values, sides: Values, readers: tuple[str, ...]) -> dict[str, Any]:
    """How often the test arm is preferred to the reference arm.

    Args:
        choices: (cases, readers): 1 test arm preferred, 0 no preference, −1 reference arm, NaN missing.
        sides: (cases, readers): 1 where the map on the left was preferred, 0 on the right, NaN without preference.
        readers: study codes.

    Returns:
        "counts" (test, none, reference) and "share" of the test arm among decided answers, pooled (clustered, see
        `clustered_share`) and "by_reader" (Wilson); "net": mean of the choices with random readers and cases;
        "p" by sign flips over cases; "left": share of decided answers for the left map (0.5 without a habit).
    """
    decided = np.where(choices == 0, np.nan, (choices + 1) / 2)
    sums = np.where(np.isfinite(choices), choices, 0.0).sum(axis=1)
    return {
        "counts": _counts(choices),
        "share": clustered_share(decided).to_json(),
        "net": crossed_mean(choices).mean.to_json(),
        "p": sign_flip_p(sums),
        "left": clustered_share(sides).to_json(),
        "by_reader": {
            reader: {"counts": _counts(choices[:, number]), "share": share_of(decided[:, number]).to_json()}
            for number, reader in enumerate(readers)
        },
    }


def turing(called: Values, synthetic: NDArray[np.bool_], readers: tuple[str, ...]) -> dict[str, Any]:
    """How often readers say correctly whether a map is synthetic.

    Args:
        called: (arms, cases, readers): 1 called synthetic, 0 called acquired, NaN missing.
        synthetic: (arms,) the truth.
        readers: study codes.

    Returns:
        "balanced" (mean of the next two, so that guessing, or always giving the same answer, gives 0.5 however many
        maps of each kind there are), "sensitivity" (synthetic called synthetic), "specificity" (acquired called
        acquired) and "accuracy" (share correct of all answers), "pooled" and "by_reader"; see `clustered_share`.
    """
    correct = np.where(np.isfinite(called), called == synthetic[:, None, None], np.nan)
    return {
        "pooled": _correct(correct, synthetic),
        "by_reader": {reader: _correct(correct[:, :, [number]], synthetic) for number, reader in enumerate(readers)},
    }


def _correct(correct: Values, synthetic: NDArray[np.bool_]) -> dict[str, Any]:
    parts = {
        "balanced": (correct[synthetic], correct[~synthetic]),
        "sensitivity": (correct[synthetic],),
        "specificity": (correct[~synthetic],),
        "accuracy": (correct,),
    }
    return {name: clustered_share(*groups).to_json() for name, groups in parts.items()}


def flags(raised: Values, readers: tuple[str, ...]) -> dict[str, Any]:
    """How often a flag was raised: pooled (clustered) and by reader (Wilson).

    Args:
        raised: (cases, readers) of 0 and 1, NaN where missing.
        readers: study codes.
    """
    by_reader: dict[str, Estimate] = {reader: share_of(raised[:, number]) for number, reader in enumerate(readers)}
    return {
        "pooled": clustered_share(raised).to_json(),
        "by_reader": {reader: found.to_json() for reader, found in by_reader.items()},
    }


def _counts(choices: Values) -> dict[str, int]:
    return {name: int((choices == value).sum()) for name, value in (("test", 1), ("none", 0), ("reference", -1))}
