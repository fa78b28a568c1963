"""Starting a process so that it and everything it started can be ended together; without psutil."""

import os
import signal
import subprocess
import sys
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from typing import Any


def group_arguments() -> dict[str, Any]:
    """Return the arguments of `subprocess.Popen` that give the process its own group.

    The group keeps a Ctrl-C of the terminal away from the worker (its client decides), and is ended as one.
    """
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
    return {"start_new_session": True}


def end_process_tree(pid: int) -> None:
    """End a process, its group where it leads one, and its descendants, at once and without asking them.

    Does nothing where nothing is left. Of a process that has just been waited for, what is left of its group is ended.
    A process may end its own tree: its end comes last.
    """
    if sys.platform == "win32":
        _taskkill(pid)
        return
    for child in _descendants(pid):
        with suppress(ProcessLookupError, PermissionError):
            os.kill(child, signal.SIGKILL)
    try:
        leads_group = os.getpgid(pid) == pid
    except ProcessLookupError:
        leads_group = True
    with suppress(ProcessLookupError, PermissionError):
        if leads_group:
            os.killpg(pid, signal.SIGKILL)
        else:
            os.kill(pid, signal.SIGKILL)


def end_descendants(pid: int) -> None:
    """End what a process has started, but not the process."""
    if sys.platform == "win32":
        return  # taskkill cannot spare the process itself; its client ends the tree
    for child in _descendants(pid):
        with suppress(ProcessLookupError, PermissionError):
            os.kill(child, signal.SIGKILL)


def exit_in_words(code: int) -> str:
    """Say how a process ended; `code` as `Popen.returncode` has it (negative: a signal's number)."""
    if code < 0:
        reasons = {
            9: ", often because memory ran out",
            11: ", a crash inside a compiled library",
            6: ", a compiled library gave up",
            15: ", ended by another program",
        }
        return f"was killed (signal {-code}{reasons.get(-code, '')})"
    if code == 0:
        return "ended without being asked to"
    return f"ended with exit code {code if code < 256 else hex(code)}"


def _descendants(pid: int) -> list[int]:
    """Return the children of a process, their children and so on, as far as they are still linked to it."""
    children = defaultdict(list)
    for child, parent in _parents():
        children[parent].append(child)
    found, waiting = [], [pid]
    while waiting:
        new = children.pop(waiting.pop(), [])
        found += new
        waiting += new
    return found


def _parents() -> list[tuple[int, int]]:
    """Return (process, its parent) for the machine's processes."""
    if not Path("/proc/self/stat").exists():
        return _parents_by_ps()
    pairs = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            # The name of the program stands in parentheses and may itself contain spaces and parentheses.
            with suppress(OSError, ValueError, IndexError):
                after_name = (entry / "stat").read_bytes().rpartition(b")")[2].split()
                pairs.append((int(entry.name), int(after_name[1])))
    return pairs


def _parents_by_ps() -> list[tuple[int, int]]:
    """Ask `ps`, where there is no /proc (macOS)."""
    try:
        answer = subprocess.run(
            ["/bin/ps", "-axo", "pid=,ppid="], capture_output=True, text=True, timeout=2, check=False
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return []  # the group is still ended
    rows = (line.split() for line in answer.splitlines())
    return [(int(row[0]), int(row[1])) for row in rows if len(row) == 2]


def _taskkill(pid: int) -> None:
    taskkill = Path(os.environ.get("SYSTEMROOT", r"C:\Windows")) / "System32" / "taskkill.exe"
    with suppress(OSError, subprocess.SubprocessError):
        subprocess.run([str(taskkill), "/PID", str(pid), "/T", "/F"], capture_output=True, timeout=5, check=False)
