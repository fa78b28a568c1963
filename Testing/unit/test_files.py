"""Results are whole or absent."""

import errno
import os
import resource
from pathlib import Path

import pytest

from HierSynthLib.errors import Cancelled, OutputError
from HierSynthLib.files import atomic_file, atomic_folder, unfinished, write_text_atomically


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def start_a_file(target: Path, failure: BaseException) -> None:
    with atomic_file(target, overwrite=True) as temporary:
        temporary.write_text("half")
        raise failure


def start_a_folder(target: Path, failure: BaseException) -> None:
    with atomic_folder(target, overwrite=True) as temporary:
        (temporary / "half.txt").write_text("half")
        raise failure


def test_the_file_appears_only_when_the_block_ends(tmp_path: Path) -> None:
    target = tmp_path / "new" / "map.nii.gz"
    with atomic_file(target) as temporary:
        temporary.write_bytes(b"whole")
        assert not target.exists()
        assert temporary.name.endswith(".nii.gz")
        assert temporary.parent == target.parent
    assert target.read_bytes() == b"whole"
    assert names(target.parent) == ["map.nii.gz"]


@pytest.mark.parametrize("failure", [Cancelled, KeyboardInterrupt, ValueError])
def test_a_failed_block_leaves_the_old_file_and_nothing_else(tmp_path: Path, failure: type[BaseException]) -> None:
    target = tmp_path / "case.json"
    target.write_text("old")
    with pytest.raises(failure):
        start_a_file(target, failure())
    assert target.read_text() == "old"
    assert names(tmp_path) == ["case.json"]


def test_a_failed_block_removes_the_folders_made_for_it(tmp_path: Path) -> None:
    with pytest.raises(Cancelled), atomic_file(tmp_path / "a" / "b" / "c.txt"):
        raise Cancelled
    assert names(tmp_path) == []


def test_an_existing_file_is_replaced_only_on_request(tmp_path: Path) -> None:
    target = tmp_path / "run.json"
    write_text_atomically(target, "first\n")
    with pytest.raises(OutputError, match=r"run\.json exists already"):
        write_text_atomically(target, "second\n")
    assert target.read_text() == "first\n"
    write_text_atomically(target, "²nd\n", overwrite=True)
    assert target.read_bytes() == "²nd\n".encode()


def test_a_folder_in_the_place_of_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="is a folder"), atomic_file(tmp_path, overwrite=True):
        pass


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError) as caught:
        write_text_atomically(tmp_path / "file" / "run.json", "")
    assert "run.json could not be written" in caught.value.message


def test_a_write_that_really_fails_leaves_nothing(tmp_path: Path) -> None:
    """The system refuses to let the file grow: the same path as a full disk, without needing one."""
    target = tmp_path / "big.txt"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        with pytest.raises(OutputError) as caught:
            write_text_atomically(target, "x" * 100_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert str(target) in caught.value.message
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOSPC, "disk is full"), (errno.EDQUOT, "disk is full"), (errno.EROFS, "no permission")],
)
def test_the_reason_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    def fail(*_args: object) -> None:
        raise OSError(number, "from the system")

    monkeypatch.setattr("os.fsync", fail)  # where a full disk shows at the latest
    target = tmp_path / "run.json"
    with pytest.raises(OutputError, match=words) as caught:
        write_text_atomically(target, "text")
    assert "\n" not in str(caught.value)
    assert str(target) in caught.value.message
    assert caught.value.hint
    assert names(tmp_path) == []


def test_the_folder_appears_only_when_the_block_ends(tmp_path: Path) -> None:
    target = tmp_path / "case"
    with atomic_folder(target) as temporary:
        (temporary / "sub").mkdir()
        (temporary / "sub" / "a.txt").write_text("a")
        assert not target.exists()
    assert (target / "sub" / "a.txt").read_text() == "a"
    assert names(tmp_path) == ["case"]
    assert target.stat().st_mode & 0o777 == tmp_path.joinpath("case", "sub").stat().st_mode & 0o777


def test_an_empty_folder_may_stand_in_the_place(tmp_path: Path) -> None:
    target = tmp_path / "case"
    target.mkdir()
    with atomic_folder(target) as temporary:
        (temporary / "a.txt").write_text("a")
    assert names(target) == ["a.txt"]
    assert names(tmp_path) == ["case"]


def test_a_filled_folder_is_replaced_only_on_request(tmp_path: Path) -> None:
    target = tmp_path / "case"
    target.mkdir()
    (target / "old.txt").write_text("old")
    with pytest.raises(OutputError, match="not empty"), atomic_folder(target):
        pass
    with pytest.raises(Cancelled):
        start_a_folder(target, Cancelled())
    assert names(target) == ["old.txt"]
    with atomic_folder(target, overwrite=True) as temporary:
        (temporary / "new.txt").write_text("new")
    assert names(target) == ["new.txt"]
    assert names(tmp_path) == ["case"]


def test_the_old_folder_returns_when_the_new_one_cannot_be_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "case"
    target.mkdir()
    (target / "old.txt").write_text("old")
    rename = Path.rename

    def fail_for_the_new_one(self: Path, other: Path) -> Path:
        if (self / "new.txt").exists():
            raise OSError(errno.EACCES, "refused", str(self))
        return rename(self, other)

    monkeypatch.setattr(Path, "rename", fail_for_the_new_one)
    with pytest.raises(OutputError, match="no permission"), atomic_folder(target, overwrite=True) as temporary:
        (temporary / "new.txt").write_text("new")
    assert names(target) == ["old.txt"]
    assert names(tmp_path) == ["case"]


def test_a_folder_that_cannot_be_written_fails_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, *_args: object, **_more: object) -> None:
        raise PermissionError(errno.EACCES, "refused", str(self))

    monkeypatch.setattr(Path, "mkdir", refuse)
    worked = False
    with pytest.raises(OutputError, match="no permission"), atomic_folder(tmp_path / "case"):
        worked = True
    assert not worked


def test_a_full_disk_while_the_folder_is_filled_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="disk is full"):
        start_a_folder(tmp_path / "case", OSError(errno.ENOSPC, "No space left on device"))
    assert names(tmp_path) == []


def test_a_file_that_fails_inside_is_named_as_the_user_knows_it(tmp_path: Path) -> None:
    def write_twice() -> None:
        with atomic_folder(tmp_path / "case") as temporary:
            write_text_atomically(temporary / "run.json", "")
            write_text_atomically(temporary / "run.json", "")

    with pytest.raises(OutputError) as caught:
        write_twice()
    assert caught.value.message == f"{tmp_path / 'case' / 'run.json'} exists already."


def test_errors_of_reading_inside_the_block_are_not_output_errors(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic_folder(tmp_path / "case"):
        (tmp_path / "absent.txt").read_text()
    assert names(tmp_path) == []


def test_the_working_folder_and_mounted_disks_are_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OutputError, match="cannot be replaced as a whole"), atomic_folder(Path()):
        pass


# --- two programs that write the same ---


def test_a_file_that_another_program_made_meanwhile_stays(tmp_path: Path) -> None:
    def write(links: bool) -> None:
        with atomic_file(tmp_path / f"{links}.txt") as temporary:
            temporary.write_text("ours")
            (tmp_path / f"{links}.txt").write_text("theirs")

    with pytest.raises(OutputError, match=r"True\.txt exists already"):
        write(links=True)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(os, "link", refuse_links)
        with pytest.raises(OutputError, match=r"False\.txt exists already"):
            write(links=False)
        write_text_atomically(tmp_path / "free.txt", "ours")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "True.txt": "theirs", "False.txt": "theirs", "free.txt": "ours",
    }  # fmt: skip


def refuse_links(*_args: object) -> None:
    raise PermissionError(errno.EPERM, "Operation not permitted")  # what a FAT disk answers


@pytest.mark.parametrize("empty_before", [False, True])
def test_a_folder_that_another_program_filled_meanwhile_stays(tmp_path: Path, empty_before: bool) -> None:
    target = tmp_path / "case"
    if empty_before:
        target.mkdir()

    def write() -> None:
        with atomic_folder(target) as temporary:
            (temporary / "ours.txt").write_text("ours")
            target.mkdir(exist_ok=True)
            (target / "theirs.txt").write_text("theirs")

    with pytest.raises(OutputError, match="not empty any more"):
        write()
    assert names(target) == ["theirs.txt"]
    assert names(tmp_path) == ["case"]


def test_what_is_unfinished_has_the_number_of_its_process(tmp_path: Path) -> None:
    with atomic_folder(tmp_path / "case") as temporary, atomic_folder(tmp_path / "case 2"):
        assert unfinished(tmp_path / "case") == {temporary: os.getpid()}
    assert unfinished(tmp_path / "case") == {}
    assert unfinished(tmp_path / "nowhere" / "case") == {}
