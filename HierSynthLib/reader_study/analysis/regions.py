"""Values of the regions that readers marked: agreement between arms and between readers."""

from __future__ import annotations

from typing import Any

import numpy as np

from HierSynthLib.fidelity.cohort.statistics import intraclass_correlation, limits_of_agreement
from HierSynthLib.reader_study.analysis.agreement import icc_of_complete
from HierSynthLib.reader_study.analysis.ratings import Ratings


def region_agreement(values: Ratings, reference: str) -> dict[str, Any]:
    """ICC and Bland–Altman of each arm against the reference, and ICC between readers in each arm.

    A case counts once: between the arms, the mean over the readers who marked it in both; each reader also alone.

    Args:
        values: one measure of the marked regions, such as the hotspot mean in nrCBV.
        reference: arm.

    Returns:
        "arms": list of {"test", "reader" ("all": mean over readers), "icc", "bland_altman", "test_values",
        "reference_values"}; "readers": arm → ICC(2,1) between readers.
    """
    rows = []
    for arm in values.arms:
        if arm == reference:
            continue
        one, other = values.of(arm), values.of(reference)
        both = np.isfinite(one) & np.isfinite(other)
        count = both.sum(axis=1)
        means = [
            np.divide(np.where(both, table, 0.0).sum(axis=1), count, out=np.full(len(count), np.nan), where=count > 0)
            for table in (one, other)
        ]
        columns = [("all", *means)]
        columns += [(reader, one[:, number], other[:, number]) for number, reader in enumerate(values.readers)]
        rows += [
            {
                "test": arm,
                "reader": reader,
                "icc": intraclass_correlation(test, against).to_json(),
                "bland_altman": limits_of_agreement(test, against).to_json(),
                "test_values": _listed(test),
                "reference_values": _listed(against),
            }
            for reader, test, against in columns
        ]
    return {
        "item": values.item,
        "reference": reference,
        "arms": rows,
        "readers": {arm: icc_of_complete(values.of(arm)).to_json() for arm in values.arms},
    }


def _listed(values: Any) -> list[float | None]:
    return [float(value) if np.isfinite(value) else None for value in values]
