"""Writing files and folders so that a result is whole or absent."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from HierSynthLib.errors import OutputError

_DISK_FULL = {errno.ENOSPC, errno.EDQUOT}
_NOT_WRITABLE = {errno.EACCES, errno.EPERM, errno.EROFS}
_TAKEN = {errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR}


@contextmanager
def atomic_file(target: Path, *, overwrite: bool = False, durable: bool = True) -> Iterator[Path]:
    """Give a temporary path beside `target` that becomes `target` when the block ends well.

    The temporary name starts with a dot and ends with the name of the target, so that writers which choose the format
    by suffix choose the same one. When the block fails, is cancelled or interrupted, the temporary file is removed and
    an existing target stays as it was.

    Args:
        target: the file.
        overwrite: whether an existing file may be replaced.
        durable: whether to wait until the file is on the disk; False for what is only passed to another process.

    Raises:
        OutputError: the target exists and `overwrite` is False, or it cannot be written (permission, full disk).
    """
    target = Path(target)
    if target.is_dir():
        raise OutputError(f"{target} is a folder, not a file.", "Give the name of a file.")
    if not overwrite and os.path.lexists(target):
        raise _exists_already(target)
    temporary = _temporary_name(target)
    with _parent_of(target), _explained(target):
        try:
            yield temporary
            if durable:
                _sync(temporary)
            _move_file(temporary, target, overwrite=overwrite)
            if durable:
                _sync(target.parent)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(target: Path, *, overwrite: bool = False, durable: bool = True) -> Iterator[Path]:
    """Give a new temporary folder beside `target` that becomes `target` when the block ends well.

    An empty folder may stand at `target`. When the block fails, is cancelled or interrupted, the temporary folder is
    removed and an existing target stays as it was.

    Args:
        target: the folder.
        overwrite: whether an existing folder may be replaced.
        durable: whether to wait until its files are on the disk; False for what is only passed to another process.

    Raises:
        OutputError: the target is a file, or a folder that is not empty and `overwrite` is False, or it cannot be
            written (permission, full disk). Errors of the block that have nothing to do with writing pass unchanged.
    """
    target = Path(target).absolute()
    if os.path.lexists(target) and not target.is_dir():
        raise OutputError(f"{target} is a file, not a folder.", "Give the name of a folder.")
    if target.is_dir():
        with _explained(target):
            occupied = any(target.iterdir())
        if occupied and not overwrite:
            raise OutputError(f"The folder {target} is not empty.", "Choose another one.")
        if target.is_symlink() or os.path.ismount(target) or target == Path.cwd():
            raise OutputError(f"The folder {target} cannot be replaced as a whole.", "Name a new folder inside it.")
    temporary = _temporary_name(target)
    with _parent_of(target), _explained(target, temporary):
        try:
            temporary.mkdir()
            yield temporary
            for path in sorted(temporary.rglob("*")) if durable else ():
                if path.is_file():
                    _sync(path)
            _move_folder(temporary, target, overwrite=overwrite)
            if durable:
                _sync(target.parent)
        except OutputError as error:  # of a file inside: the user knows the folder by its own name
            raise OutputError(error.message.replace(str(temporary), str(target)), error.hint) from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def write_text_atomically(target: Path, text: str, *, overwrite: bool = False) -> None:
    """Write a UTF-8 text file with Unix line ends, whole or not at all.

    Raises:
        OutputError: as `atomic_file`.
    """
    with atomic_file(target, overwrite=overwrite) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def unfinished(target: Path) -> dict[Path, int]:
    """What writers of `target` have beside it under temporary names, and the numbers of their processes.

    They are at work now, or were killed.
    """
    around, ours = target.absolute().parent, re.compile(r"\.(\d+)-[0-9a-f]{12}\.tmp\." + re.escape(target.name))
    names = ((path, ours.fullmatch(path.name)) for path in (around.iterdir() if around.is_dir() else ()))
    return {path: int(match[1]) for path, match in names if match}


def _temporary_name(target: Path) -> Path:
    """A free hidden name in the folder of the target, with this process's number and the target's suffixes."""
    return target.with_name(f".{os.getpid()}-{uuid.uuid4().hex[:12]}.tmp.{target.name}")


def _move_file(temporary: Path, target: Path, *, overwrite: bool) -> None:
    """Give the finished file its name; without `overwrite`, only when nobody else has taken it meanwhile."""
    if overwrite:
        temporary.replace(target)
        return
    try:
        os.link(temporary, target)  # in contrast to a rename it never replaces
    except FileExistsError as error:
        raise _exists_already(target) from error
    except OSError as error:  # a disk without links
        if os.path.lexists(target):
            raise _exists_already(target) from error
        temporary.rename(target)


def _exists_already(target: Path) -> OutputError:
    return OutputError(f"{target} exists already.", "Choose another name.")


def _move_folder(temporary: Path, target: Path, *, overwrite: bool) -> None:
    """Put the finished folder in the place of the old one; the old one returns if that fails.

    Without `overwrite`, the old one may only be empty: another program may have filled it meanwhile.
    """
    if not overwrite:
        try:
            with contextlib.suppress(FileNotFoundError):
                target.rmdir()
            temporary.rename(target)
        except OSError as error:
            if error.errno in _TAKEN:
                raise OutputError(f"The folder {target} is not empty any more.", "Choose another one.") from error
            raise _output_error(error, target) from error
        return
    if not target.exists():
        temporary.rename(target)
        return
    old = _temporary_name(target)
    target.rename(old)
    try:
        temporary.rename(target)
    except OSError:
        old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _sync(path: Path) -> None:
    """Have the system put a file or (where it can) a folder on the disk; a full disk shows here at the latest."""
    if path.is_dir():
        with contextlib.suppress(OSError):  # not every system can open a folder
            _sync_descriptor(os.open(path, os.O_RDONLY))
        return
    _sync_descriptor(os.open(path, os.O_RDWR))


def _sync_descriptor(descriptor: int) -> None:
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _parent_of(target: Path) -> Iterator[None]:
    """Create the missing folders above the target, and remove them again when the block fails."""
    missing = [folder for folder in target.parents if not os.path.lexists(folder)]
    with _explained(target):
        target.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            for folder in missing:  # innermost first; stops at the first that is not empty
                folder.rmdir()
        raise


@contextmanager
def _explained(target: Path, inside: Path | None = None) -> Iterator[None]:
    """Turn errors of the system while writing `target` into an `OutputError`.

    With `inside`, only those that come from a full disk or name a path in that folder: the block may also read files.
    """
    try:
        yield
    except OSError as error:
        full = error.errno in _DISK_FULL
        ours = inside is None or str(inside) in (str(error.filename or ""), *map(str, _parents(error.filename)))
        if not (full or ours):
            raise
        raise _output_error(error, target) from error


def _parents(name: object) -> tuple[Path, ...]:
    return tuple(Path(name).parents) if isinstance(name, str) else ()


def _output_error(error: OSError, target: Path) -> OutputError:
    if error.errno in _DISK_FULL:
        return OutputError(
            f"{target} could not be written: the disk is full.", "Free some space, or choose a folder on another disk."
        )
    if error.errno in _NOT_WRITABLE:
        return OutputError(f"{target} could not be written: no permission to write there.", "Choose another folder.")
    return OutputError(f"{target} could not be written: {error.strerror or error}.", "Choose another folder.")
