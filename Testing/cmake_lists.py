"""Rewrite the file lists of the CMakeLists.txt files from the tree: `make cmake-lists`.

Slicer installs only the files that CMake lists: a missing one works in a source checkout and fails once installed.
"""

import re
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

#: What of Resources the library needs at run time; the rest (screenshots) stays in the repository.
RUN_TIME_RESOURCES = ("ColorTables", "Models", "StudyForms")


def files(folder: Path) -> list[str]:
    """The files to be installed from `folder`, relative to it with forward slashes, sorted."""
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(path.as_posix() for path in paths if path.name != "CMakeLists.txt" and not is_left_out(path))


def is_left_out(path: Path) -> bool:
    """Whether `path` is a by-product: compiled Python or anything hidden."""
    return any(part == "__pycache__" or part.startswith(".") for part in path.parts)


def rewrite(cmake_file: Path, lists: dict[str, Iterable[str]]) -> None:
    """Replace the contents of each `set(NAME …)` in `cmake_file` by the given file names, one per line."""
    text = cmake_file.read_text(encoding="utf-8")
    for name, entries in lists.items():
        block = "".join(f"  {entry}\n" for entry in entries)
        text, found = re.subn(rf"(?<=set\({name}\n)[^)]*?(?=  \))", lambda _, block=block: block, text)
        if found != 1:
            raise ValueError(f"{cmake_file}: set({name} … ) must stand there once, found {found}.")
    cmake_file.write_text(text, encoding="utf-8")


def rewrite_all(root: Path) -> None:
    """Rewrite the lists of the module, the library and the resources below `root`."""
    module = files(root / "HierSynthModule")
    rewrite(
        root / "HierSynthModule" / "CMakeLists.txt",
        {
            "MODULE_PYTHON_SCRIPTS": [name for name in module if name.endswith(".py")],
            "MODULE_PYTHON_RESOURCES": [name for name in module if not name.endswith(".py")],
        },
    )
    rewrite(root / "HierSynthLib" / "CMakeLists.txt", {"LIBRARY_FILES": files(root / "HierSynthLib")})
    resources = [name for name in files(root / "Resources") if name.split("/")[0] in RUN_TIME_RESOURCES]
    rewrite(root / "Resources" / "CMakeLists.txt", {"RESOURCE_FILES": resources})


if __name__ == "__main__":
    rewrite_all(ROOT)
