"""Which API of Slicer, CTK and Qt the module uses, and the list of what of it was looked up.

`slicer_api.json` says for every name in which file of Slicer or CTK, or in which class of Qt, it was found. After a
change of the module run `python -m Testing.host.contract`: new names are added to the list without a source, names
no longer used are removed. Look the new ones up in Slicer 5.10 and write down where;
`Testing/panel/test_contract.py` fails until then.

Members of VTK and MRML classes begin with a capital and are not listed: the wheel slicer-core holds the real
classes, and the test looks them up there.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from Testing.host.usage import Usage, usage_of

REPOSITORY = Path(__file__).resolve().parents[2]
MODULE_FOLDER = REPOSITORY / "HierSynthModule"
LIBRARY_FOLDER = REPOSITORY / "HierSynthLib"
API_FILE = Path(__file__).with_name("slicer_api.json")
PARTS = ("names", "members", "signals")


def module_usage() -> Usage:
    """What the module's files use."""
    return usage_of(MODULE_FOLDER, LIBRARY_FOLDER)


def recorded(path: Path = API_FILE) -> dict[str, Any]:
    """The list: "names", "members", "signals" and "widgets" as in Usage, each with its source.

    "host" holds what the host itself or slicer.util needs of `slicer.app` besides.
    """
    return json.loads(path.read_text(encoding="utf-8"))


def updated(api: dict[str, Any], usage: Usage) -> dict[str, Any]:
    """The list with the names that are used now; new ones have the source ""."""
    parts = {part: _sources(api[part], getattr(usage, part)) for part in PARTS}
    widgets = {}
    for name, properties in sorted(usage.widgets.items()):
        known = api["widgets"].get(name, {"source": "", "properties": {}})
        widgets[name] = {"source": known["source"], "properties": _sources(known["properties"], properties)}
    return {**parts, "widgets": widgets, "host": api["host"]}


def unchecked(api: dict[str, Any]) -> list[str]:
    """Everything in the list without a source."""
    found = [name for part in (*PARTS, "host") for name, source in api[part].items() if not source]
    for widget, entry in api["widgets"].items():
        found += [] if entry["source"] else [widget]
        found += [f"{widget}.{name}" for name, source in entry["properties"].items() if not source]
    return found


def main() -> None:
    """Write the list anew and say what is to be looked up."""
    api = updated(recorded(), module_usage())
    API_FILE.write_text(json.dumps(api, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    for name in unchecked(api):
        print(f"to be looked up: {name}")


def _sources(known: dict[str, str], names: Iterable[str]) -> dict[str, str]:
    return {name: known.get(name, "") for name in sorted(names)}


if __name__ == "__main__":
    main()
