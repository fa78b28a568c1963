"""Model packages: what is altered, incomplete or hostile must not load, and nothing is installed in part."""

import functools
import http.server
import json
import os
import shutil
import threading
import zipfile
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from HierSynthLib.errors import Cancelled, InputError, ModelError, OutputError
from HierSynthLib.progress import Silent
from HierSynthLib.synthesis import installation, package
from HierSynthLib.synthesis.installation import install_model, remove_model
from HierSynthLib.synthesis.model import load_model
from HierSynthLib.synthesis.package import (
    CHECKSUMS,
    INFERENCE,
    METADATA,
    WEIGHTS,
    ModelSettings,
    damaged_models,
    find_model,
    list_models,
    verify_model,
    write_checksums,
)
from Testing.conftest import settings_block, write_tiny_model


@pytest.fixture(autouse=True)
def user_data(tmp_path, monkeypatch):
    """An empty user data folder."""
    folder = tmp_path / "user data"
    monkeypatch.setenv("HIERSYNTH_DATA", str(folder))
    return folder


def test_a_package_loads_back_what_was_saved(tiny_model):
    loaded = load_model(tiny_model)
    assert loaded.info.name == "tiny"
    assert loaded.info.weights_sha256 == os.popen(f"sha256sum {tiny_model / WEIGHTS}").read().split()[0]  # noqa: S605
    assert loaded.settings.spacing_mm == (3.0, 3.0, 3.0)
    again = load_model(tiny_model)
    for a, b in zip(loaded.network.parameters(), again.network.parameters(), strict=True):
        assert torch.equal(a, b)


def test_checksums_are_what_sha256sum_checks(tiny_model):
    assert os.system(f"cd {tiny_model} && sha256sum --quiet --check {CHECKSUMS}") == 0  # noqa: S605


@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_one_flipped_bit_anywhere_is_refused(tiny_model, data):
    files = sorted(p for p in tiny_model.rglob("*") if p.is_file())
    victim = data.draw(st.sampled_from(files))
    content = victim.read_bytes()
    position = data.draw(st.integers(0, len(content) - 1))
    altered = bytearray(content)
    altered[position] ^= 1 << data.draw(st.integers(0, 7))
    victim.write_bytes(altered)
    try:
        with pytest.raises(ModelError):
            load_model(tiny_model)
    finally:
        victim.write_bytes(content)


def test_every_flipped_bit_of_the_checksums_is_refused(tiny_model):
    content = (tiny_model / CHECKSUMS).read_bytes()
    for position in range(len(content)):
        for bit in range(8):
            altered = bytearray(content)
            altered[position] ^= 1 << bit
            (tiny_model / CHECKSUMS).write_bytes(altered)
            with pytest.raises(ModelError):
                verify_model(tiny_model)


@pytest.mark.parametrize("name", [WEIGHTS, METADATA, INFERENCE, CHECKSUMS, "docs/README.md"])
def test_a_missing_file_is_named(tiny_model, name):
    (tiny_model / name).unlink()
    with pytest.raises(ModelError, match=name):
        verify_model(tiny_model)


def test_a_file_that_is_not_listed_is_refused(tiny_model):
    (tiny_model / "weights.pt").write_bytes(b"pickle")
    with pytest.raises(ModelError, match=r"weights\.pt is not listed"):
        verify_model(tiny_model)


def test_a_newer_format_says_update(tiny_model):
    metadata = json.loads((tiny_model / METADATA).read_text())
    metadata["hiersynth"]["format_version"] = 99
    (tiny_model / METADATA).write_text(json.dumps(metadata))
    write_checksums(tiny_model)
    with pytest.raises(ModelError, match="format 99") as caught:
        load_model(tiny_model)
    assert caught.value.hint == "Update HierSynth."


def test_checksums_may_not_point_outside(tiny_model):
    (tiny_model / CHECKSUMS).write_text(f"{'0' * 64}  ../secret\n")
    with pytest.raises(ModelError, match="damaged"):
        verify_model(tiny_model)


@pytest.mark.parametrize(
    "changes",
    [
        {"sequences": []},
        {"sequences": ["T1", "T1"]},
        {"sequences": ["PET"]},
        {"spacing_mm": [1, 1]},
        {"spacing_mm": [1, 1, 0]},
        {"slice_step": 0},
        {"ceiling": -1},
        {"interval": 1},
        {"uncertainty_scale": "much"},
        {"format_version": 0},
        {"format_version": None},
    ],
)
def test_settings_out_of_range_name_the_field(changes):
    with pytest.raises(ModelError, match=next(iter(changes))):
        ModelSettings.parse(settings_block(**changes))


@pytest.mark.parametrize("field", sorted(settings_block()))
def test_a_missing_setting_is_named(field):
    block = settings_block()
    del block[field]
    with pytest.raises(ModelError, match=field):
        ModelSettings.parse(block)


def test_only_our_own_network_is_built(tiny_model):
    definition = json.loads((tiny_model / INFERENCE).read_text())
    definition["network_def"]["_target_"] = "os.system"
    (tiny_model / INFERENCE).write_text(json.dumps(definition))
    write_checksums(tiny_model)
    with pytest.raises(ModelError, match="network_def"):
        load_model(tiny_model)


def test_weights_of_another_network_are_refused(tiny_model):
    definition = json.loads((tiny_model / INFERENCE).read_text())
    definition["network_def"]["config"]["global_channels"] = [8, 16]
    (tiny_model / INFERENCE).write_text(json.dumps(definition))
    write_checksums(tiny_model)
    with pytest.raises(ModelError, match="do not fit"):
        load_model(tiny_model)


def test_a_pickle_named_safetensors_is_refused(tiny_model):
    torch.save({"weight": torch.ones(1)}, tiny_model / WEIGHTS)
    write_checksums(tiny_model)
    with pytest.raises(ModelError, match=WEIGHTS):
        load_model(tiny_model)


def zipped(folder: Path, target: Path) -> Path:
    with zipfile.ZipFile(target, "w") as bundle:
        for path in folder.rglob("*"):
            bundle.write(path, Path(folder.name) / path.relative_to(folder))
    return target


def test_install_from_folder_find_list_remove(tiny_model, user_data):
    info = install_model(str(tiny_model), Silent())
    assert info.folder == user_data / "Models" / "tiny"
    assert not info.built_in
    assert find_model("tiny") == info.folder
    assert info in list_models()
    with pytest.raises(OutputError, match="installed already"):
        install_model(str(tiny_model), Silent())
    assert tiny_model.is_dir(), "the source stays"
    remove_model("tiny")
    assert not info.folder.exists()
    with pytest.raises(ModelError, match="tiny"):
        find_model("tiny")


def test_install_from_a_zip_file(tiny_model, tmp_path):
    assert install_model(str(zipped(tiny_model, tmp_path / "any name.zip")), Silent()).name == "tiny"


@pytest.fixture
def web_server(tmp_path):
    """A web server for the files of a folder, on the loopback address; yields folder and address."""
    folder = tmp_path / "www"
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_arguments):
            pass

        def send_head(self):
            if "garbled" in self.path:
                self.wfile.write(b"HTTP/1.1 two hundred\r\n\r\n")
                return None
            if "truncated" in self.path:
                self.send_response(200)
                self.send_header("Content-Length", "100000")
                self.end_headers()
                self.wfile.write(b"PK")
                return None
            return super().send_head()

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_install_from_an_address(tiny_model, web_server, user_data):
    folder, address = web_server
    zipped(tiny_model, folder / "tiny.zip")
    assert install_model(f"{address}/tiny.zip", Silent()).name == "tiny"
    for wrong in ("absent.zip", "truncated.zip", "garbled.zip", "with a blank.zip"):
        with pytest.raises(InputError, match=wrong):
            install_model(f"{address}/{wrong}", Silent())
    assert [p.name for p in (user_data / "Models").iterdir()] == ["tiny"], "no remains of what failed"


def test_an_altered_package_is_not_installed(tiny_model, tmp_path, user_data):
    (tiny_model / WEIGHTS).write_bytes(b"x" + (tiny_model / WEIGHTS).read_bytes()[1:])
    for source in (tiny_model, zipped(tiny_model, tmp_path / "a.zip")):
        with pytest.raises(ModelError, match="altered"):
            install_model(str(source), Silent())
    assert list((user_data / "Models").iterdir()) == []


def test_an_archive_cannot_write_outside(tiny_model, tmp_path, user_data):
    archive = zipped(tiny_model, tmp_path / "a.zip")
    with zipfile.ZipFile(archive, "a") as bundle:
        bundle.writestr("../../../escaped.txt", "x")
    with pytest.raises(InputError, match="outside"):
        install_model(str(archive), Silent())
    assert not list(tmp_path.rglob("escaped.txt"))
    assert list((user_data / "Models").iterdir()) == []


def test_a_huge_archive_is_refused_before_unpacking(tiny_model, tmp_path, monkeypatch):
    archive = zipped(tiny_model, tmp_path / "a.zip")
    monkeypatch.setattr(installation, "LARGEST_PACKAGE", 1000)
    for source in (archive, tiny_model):
        with pytest.raises(InputError, match="larger than"):
            install_model(str(source), Silent())


def test_what_is_no_package(tmp_path):
    text = tmp_path / "notes.txt"
    text.write_text("hello")
    for source in (str(text), str(tmp_path / "absent.zip")):
        with pytest.raises(InputError, match="neither a model folder nor"):
            install_model(source, Silent())


def test_built_in_models_cannot_be_removed_and_names_are_not_paths(tmp_path, monkeypatch):
    built_in = write_tiny_model(tmp_path / "resources" / "Models" / "shipped")
    monkeypatch.setattr(package, "resources_folder", lambda: tmp_path / "resources")
    assert verify_model(built_in).built_in
    for name in ("shipped", "../shipped", str(built_in)):
        with pytest.raises(ModelError, match="not installed by the user"):
            remove_model(name)
    assert built_in.is_dir()


def test_the_users_model_of_the_same_name_wins(tmp_path, monkeypatch, user_data):
    built_in = write_tiny_model(tmp_path / "resources" / "Models" / "tiny")
    monkeypatch.setattr(package, "resources_folder", lambda: tmp_path / "resources")
    assert find_model("tiny") == built_in
    shutil.copytree(built_in, user_data / "Models" / "tiny")
    assert find_model("tiny") == user_data / "Models" / "tiny"
    assert [m.folder for m in list_models()] == [user_data / "Models" / "tiny"]


def test_find_lists_what_is_installed(tmp_path, monkeypatch):
    write_tiny_model(tmp_path / "resources" / "Models" / "shipped")
    monkeypatch.setattr(package, "resources_folder", lambda: tmp_path / "resources")
    with pytest.raises(ModelError, match="'absent' is not installed") as caught:
        find_model("absent")
    assert "shipped" in caught.value.hint


def test_a_connection_that_is_reset_is_the_source_s_fault(monkeypatch, web_server, user_data):
    folder, address = web_server
    (folder / "tiny.zip").write_bytes(b"PK")

    def reset(*_arguments):
        raise ConnectionResetError(104, "Connection reset by peer")

    monkeypatch.setattr(http.client.HTTPResponse, "read", reset)
    with pytest.raises(InputError, match=r"tiny\.zip: cannot be downloaded .*reset by peer"):
        install_model(f"{address}/tiny.zip", Silent())
    assert list((user_data / "Models").iterdir()) == []


@pytest.mark.parametrize("address", ["http://[half/x.zip", "http://a..b/x.zip", "https://"])
def test_an_impossible_address(address):
    with pytest.raises(InputError, match="cannot be downloaded"):
        install_model(address, Silent())


def flip_in_the_weights(archive):
    """Damage the compressed data itself, so that it cannot be unpacked."""
    with zipfile.ZipFile(archive) as bundle:
        start = next(entry.header_offset for entry in bundle.infolist() if entry.filename.endswith(WEIGHTS))
    content = bytearray(archive.read_bytes())
    content[start + 100 : start + 140] = b"\xff" * 40
    archive.write_bytes(content)


def mark_as_encrypted(archive):
    content = archive.read_bytes()
    for signature, position in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = content.index(signature) + position
        content = content[:start] + b"\x01" + content[start + 1 :]
    archive.write_bytes(content)


def empty(archive):
    zipfile.ZipFile(archive, "w").close()


@pytest.mark.parametrize(
    ("spoil", "error", "words"),
    [
        (flip_in_the_weights, InputError, "damaged"),
        (mark_as_encrypted, InputError, "encrypted"),
        (empty, ModelError, "missing"),
    ],
)
def test_an_archive_that_cannot_be_unpacked(tiny_model, tmp_path, user_data, spoil, error, words):
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as bundle:
        for path in sorted(tiny_model.rglob("*")):
            bundle.write(path, path.relative_to(tiny_model)) if path.is_file() else None
    spoil(archive)
    with pytest.raises(error, match=words):
        install_model(str(archive), Silent())
    assert list((user_data / "Models").iterdir()) == []


def test_cancel_at_the_very_end_installs_nothing(tiny_model, user_data):
    class AtTheEnd(Silent):
        def progress(self, stage, fraction):
            if fraction == 1.0:
                raise Cancelled

    with pytest.raises(Cancelled):
        install_model(str(tiny_model), AtTheEnd())
    assert list((user_data / "Models").iterdir()) == []


@pytest.mark.parametrize("lost", [METADATA, WEIGHTS])
def test_a_damaged_model_is_named_and_can_be_replaced(tmp_path, monkeypatch, tiny_model, user_data, lost):
    write_tiny_model(tmp_path / "resources" / "Models" / "tiny")
    monkeypatch.setattr(package, "resources_folder", lambda: tmp_path / "resources")
    folder = install_model(str(tiny_model), Silent()).folder
    (folder / lost).unlink()
    assert list_models() == []
    assert list(damaged_models()) == ["tiny"]
    assert lost in damaged_models()["tiny"]
    assert find_model("tiny") == folder
    with pytest.raises(OutputError, match="installed already") as caught:
        install_model(str(tiny_model), Silent())
    assert "hiersynth models remove tiny" in caught.value.hint
    assert remove_model("tiny") == folder
    assert list((user_data / "Models").iterdir()) == []
    assert damaged_models() == {}
    assert not list_models()[0].folder.is_relative_to(user_data)
    assert install_model(str(tiny_model), Silent()).folder == folder


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden"])
def test_only_a_model_can_be_removed(user_data, name):
    (user_data / "Models" / ".hidden").mkdir(parents=True)
    with pytest.raises(ModelError, match="not installed by the user"):
        remove_model(name)
    assert (user_data / "Models" / ".hidden").is_dir()


def test_a_model_that_cannot_be_removed_stays_whole(tiny_model, monkeypatch):
    info = install_model(str(tiny_model), Silent())

    def refuse(self, target):
        raise PermissionError(13, "in use", str(self))

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(OutputError, match="cannot be removed: in use"):
        remove_model("tiny")
    assert list_models()[0] == info


def test_hidden_files_of_the_system_do_no_harm(tiny_model):
    before = (tiny_model / CHECKSUMS).read_text()
    (tiny_model / ".DS_Store").write_bytes(b"Bud1")
    (tiny_model / "docs" / "._README.md").write_bytes(b"x")
    assert verify_model(tiny_model).name == "tiny"
    write_checksums(tiny_model)
    assert (tiny_model / CHECKSUMS).read_text() == before
