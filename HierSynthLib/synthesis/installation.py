"""Installing model packages from a folder, a .zip file or an address, and removing them."""

from __future__ import annotations

import http.client
import shutil
import tempfile
import urllib.parse
import urllib.request
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from HierSynthLib.errors import InputError, ModelError, OutputError
from HierSynthLib.progress import Reporter
from HierSynthLib.synthesis.package import METADATA, ModelInfo, model_folders, model_names, verify_model

# A package is a few files; these bounds stop a wrong or hostile archive before it fills the disk.
LARGEST_PACKAGE = 2 * 1024**3
MOST_FILES = 200


def install_model(source: str, reporter: Reporter) -> ModelInfo:
    """Install a package from a folder, a .zip file or an http(s) address into the user's data folder.

    Copied under a temporary name, verified, then renamed: a package is there whole or not at all.

    Raises:
        InputError: the source cannot be read or reached.
        ModelError: what it holds is no valid package.
        OutputError: a package of this name is installed already, or the folder cannot be written.
    """
    target = model_folders()[0]
    try:
        target.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target, prefix=".installing-") as temporary:
            package = _fetch(source, Path(temporary), reporter)
            reporter.progress("verifying", 0.9)
            verify_model(package)
            if (target / package.name).exists():
                raise OutputError(
                    f"A model called '{package.name}' is installed already.",
                    f"Remove it first: hiersynth models remove {package.name}",
                )
            reporter.progress("verifying", 1.0)  # may cancel, so not after the package is there
            package.rename(target / package.name)
    except OSError as error:
        raise OutputError(f"{target}: {error.strerror or error}.", "Free space or choose another folder.") from error
    return verify_model(target / package.name)


def remove_model(name: str) -> Path:
    """Remove a package that the user installed, whole or damaged; returns the folder that is gone.

    Raises:
        ModelError: no such package, or one that came with HierSynth.
        OutputError: the folder cannot be removed.
    """
    parent = model_folders()[0]
    if name not in model_names(parent):
        raise ModelError(
            f"Model '{name}' was not installed by the user.", "Only installed models can be removed; see: models list"
        )
    folder = parent / name
    try:
        # Out of sight first: what is interrupted then does not leave half a package.
        with tempfile.TemporaryDirectory(dir=parent, prefix=".removing-") as temporary:
            folder.rename(Path(temporary) / name)
    except OSError as error:
        raise OutputError(
            f"{folder} cannot be removed: {error.strerror or error}.", "Close what uses it; check the permissions."
        ) from error
    return folder


def _fetch(source: str, temporary: Path, reporter: Reporter) -> Path:
    """Bring the package into `temporary`; returns its folder there, named as the package shall be."""
    if source.startswith(("https://", "http://")):
        with _readable_address(source):
            name = Path(urllib.parse.urlparse(source).path).name
        archive = temporary / (name or "model.zip")
        _download(source, archive, reporter)
    else:
        archive = Path(source)
        if archive.is_dir():
            _require_small(sum(path.stat().st_size for path in archive.rglob("*") if path.is_file()), source)
            return Path(shutil.copytree(archive, temporary / archive.resolve().name))
    if not zipfile.is_zipfile(archive):
        raise InputError(f"{source}: neither a model folder nor a .zip file.", "Give one of the two or an address.")
    unpacked = temporary / "unpacked" / archive.stem
    unpacked.mkdir(parents=True)
    with _readable_archive(source), zipfile.ZipFile(archive) as bundle:
        entries = bundle.infolist()
        _require_small(sum(entry.file_size for entry in entries), source)
        if any(Path(entry.filename).is_absolute() or ".." in Path(entry.filename).parts for entry in entries):
            raise InputError(f"{source}: holds files that would land outside its own folder.", "Do not trust it.")
        if len(entries) > MOST_FILES:
            raise InputError(f"{source}: {len(entries)} files are too many for a model.", "Check the file.")
        bundle.extractall(unpacked)
    inner = [path for path in unpacked.iterdir() if path.is_dir()]
    return unpacked if (unpacked / METADATA).is_file() or len(inner) != 1 else inner[0]


def _download(address: str, target: Path, reporter: Reporter) -> None:
    with _readable_address(address):
        # The scheme was checked by the caller; proxies come from the environment as usual.
        response = urllib.request.urlopen(address, timeout=30)  # noqa: S310
        total = int(response.headers.get("Content-Length") or 0)
    with response, target.open("wb") as stream:
        received = 0
        while block := _next_block(response, address):
            received += len(block)
            _require_small(received, address)
            stream.write(block)
            reporter.progress("download", 0.9 * received / total if total else 0.0)
    if total and received != total:
        raise InputError(f"{address}: the download ended early ({received} of {total} bytes).", "Try again.")


def _next_block(response: http.client.HTTPResponse, address: str) -> bytes:
    with _readable_address(address):
        return response.read(1 << 18)


@contextmanager
def _readable_address(address: str) -> Iterator[None]:
    """Turn what goes wrong in the network, or with the address itself, into an `InputError`."""
    try:
        yield
    except (OSError, ValueError, http.client.HTTPException) as error:  # of OSError: URLError, TimeoutError
        reason = " ".join(str(error).split())
        raise InputError(
            f"{address}: cannot be downloaded ({reason}).", "Download it by hand, install the file."
        ) from error


@contextmanager
def _readable_archive(source: str) -> Iterator[None]:
    """Turn what makes a .zip file unreadable into an `InputError`."""
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError) as error:
        raise InputError(f"{source}: the .zip file is damaged.", "Copy or download it again.") from error
    except RuntimeError as error:  # also NotImplementedError
        raise InputError(
            f"{source}: the .zip file is encrypted or compressed in an unknown way.", "Unpack it, install the folder."
        ) from error


def _require_small(size: int, source: str) -> None:
    if size > LARGEST_PACKAGE:
        raise InputError(f"{source}: larger than {LARGEST_PACKAGE >> 30} GiB.", "Check the file.")
