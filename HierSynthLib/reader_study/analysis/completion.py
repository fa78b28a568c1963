"""How much of the schedule was read."""

from __future__ import annotations

from typing import Any

from HierSynthLib.reader_study.analysis.readings import Readings


def completion(study: Readings) -> list[dict[str, Any]]:
    """Per reader: expected and submitted presentations, duplicates, sessions, amendments, first and last submission.

    Training presentations are not counted.
    """
    rows = []
    for reader in study.readers:
        own = [one for one in study.readings if one.reader == reader]
        moments = sorted(one.submitted_at for one in own)
        rows.append(
            {
                "reader": reader,
                "expected": study.expected.get(reader, 0),
                "submitted": len(own),
                "duplicates": sum(bool(one.repeats) for one in own),
                "sessions": len({one.session for one in own}),
                "amendments": study.amendments.get(reader, 0),
                "active_s": sum(one.active_s for one in own),
                "idle_s": sum(one.idle_s for one in own),
                "first": moments[0] if moments else "",
                "last": moments[-1] if moments else "",
            }
        )
    return rows
