"""What must agree within the repository: CMake lists and tree, versions, addresses, pins, links, the make targets."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FAKE_SLICER = ROOT / "Testing" / "fixtures" / "slicer"
RUN_TIME_RESOURCES = ("ColorTables", "Models", "StudyForms")


def run(*command: str | Path, cwd: Path = ROOT, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command], cwd=cwd, env=env, capture_output=True, text=True, check=False
    )


def tree(folder: Path) -> set[str]:
    """Every file below `folder` except by-products and CMake's own, by os.walk: nothing of cmake_lists.py is used."""
    found = set()
    for here, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != "__pycache__" and not name.startswith(".")]
        found |= {os.path.relpath(Path(here) / name, folder).replace(os.sep, "/") for name in names}
    return {name for name in found if not name.endswith("CMakeLists.txt") and not Path(name).name.startswith(".")}


def expected_installation(root: Path) -> set[str]:
    """The files that Slicer must have beside each other once the extension is installed."""
    module = tree(root / "HierSynthModule")
    library = {f"HierSynthLib/{name}" for name in tree(root / "HierSynthLib")}
    resources = {
        f"HierSynthLib/Resources/{folder}/{name}"
        for folder in RUN_TIME_RESOURCES
        for name in tree(root / "Resources" / folder)
    }
    return module | library | resources


@pytest.fixture(scope="module")
def cmake():
    """The cmake of the test environment (extra "tests"), else the machine's."""
    found = shutil.which("cmake", path=sysconfig.get_path("scripts")) or shutil.which("cmake")
    assert found, "cmake is missing: make setup-tests installs it"
    return found


def configure(cmake: str, source: Path, build: Path) -> subprocess.CompletedProcess[str]:
    """Configure the extension against the stand-in of Slicer, without looking for compilers: nothing is compiled."""
    no_compiler = [f"-DCMAKE_{language}_COMPILER={sys.executable}" for language in ("C", "CXX")]
    forced = [
        f"-DCMAKE_{language}_COMPILER_{flag}=1" for language in ("C", "CXX") for flag in ("FORCED", "ID_RUN", "WORKS")
    ]
    return run(cmake, "-S", source, "-B", build, f"-DSlicer_DIR={FAKE_SLICER}", *no_compiler, *forced, cwd=build.parent)


def extension_sources(folder: Path) -> Path:
    """A copy of what CMake reads, to be altered by a test."""
    folder.mkdir()
    shutil.copy(ROOT / "CMakeLists.txt", folder)
    for name in ("HierSynthModule", "HierSynthLib"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "Resources").mkdir()
    shutil.copy(ROOT / "Resources" / "CMakeLists.txt", folder / "Resources")
    for name in RUN_TIME_RESOURCES:
        if (ROOT / "Resources" / name).is_dir():
            shutil.copytree(ROOT / "Resources" / name, folder / "Resources" / name)
    return folder


def test_slicer_installs_every_file_of_the_tree_and_no_other(cmake, tmp_path):
    configured = configure(cmake, ROOT, tmp_path / "build")
    assert configured.returncode == 0, f"{configured.stderr}\nFiles added or removed? Run: make cmake-lists"
    installed = run(cmake, "--install", tmp_path / "build", "--prefix", tmp_path / "installed")
    assert installed.returncode == 0, installed.stderr
    difference = tree(tmp_path / "installed" / "modules") ^ expected_installation(ROOT)
    assert difference == set(), "run: make cmake-lists"
    in_build_tree = tree(tmp_path / "build" / "lib" / "qt-scripted-modules")
    assert in_build_tree == {name for name in expected_installation(ROOT) if name.startswith("HierSynthLib/")}


def test_installed_library_is_the_one_that_is_imported(cmake, tmp_path):
    configure(cmake, ROOT, tmp_path / "build")
    run(cmake, "--install", tmp_path / "build", "--prefix", tmp_path / "installed")
    modules = tmp_path / "installed" / "modules"
    program = f"import sys; sys.path.insert(0, {str(modules)!r}); import HierSynthLib.volume as v; print(v.__file__)"
    imported = run(sys.executable, "-I", "-c", program, cwd=tmp_path)
    assert imported.stdout.strip() == str(modules / "HierSynthLib" / "volume.py"), imported.stderr


def test_listed_file_that_does_not_exist_stops_the_configuration(cmake, tmp_path):
    sources = extension_sources(tmp_path / "sources")
    (sources / "HierSynthLib" / "errors.py").unlink()
    configured = configure(cmake, sources, tmp_path / "build")
    assert configured.returncode != 0
    assert "errors.py" in configured.stderr


def test_cmake_lists_takes_up_new_files_and_drops_old_ones(cmake, tmp_path):
    sources = extension_sources(tmp_path / "sources")
    (sources / "HierSynthLib" / "errors.py").unlink()
    for name in (
        "HierSynthLib/perfusion/deep/maps.py",
        "HierSynthLib/perfusion/tissue.json",
        "HierSynthLib/perfusion/__pycache__/maps.pyc",
        "HierSynthModule/panel/inputs.py",
        "HierSynthModule/Resources/UI/HierSynth.ui",
        "Resources/Models/new/model.safetensors",
        "Resources/Screenshots/panel.png",
    ):
        (sources / name).parent.mkdir(parents=True, exist_ok=True)
        (sources / name).write_text("content")
    (sources / "Testing").mkdir()
    shutil.copy(ROOT / "Testing" / "cmake_lists.py", sources / "Testing")
    rewritten = run(sys.executable, sources / "Testing" / "cmake_lists.py")
    assert rewritten.returncode == 0, rewritten.stderr

    configured = configure(cmake, sources, tmp_path / "build")
    assert configured.returncode == 0, configured.stderr
    run(cmake, "--install", tmp_path / "build", "--prefix", tmp_path / "installed")
    installed = tree(tmp_path / "installed" / "modules")
    assert installed == expected_installation(sources)
    assert {
        "HierSynthLib/perfusion/deep/maps.py",
        "HierSynthLib/perfusion/tissue.json",
        "panel/inputs.py",
        "Resources/UI/HierSynth.ui",
        "HierSynthLib/Resources/Models/new/model.safetensors",
    } <= installed
    assert not any(name.endswith(("errors.py", "panel.png", ".pyc")) for name in installed)


def cmake_values() -> dict[str, str]:
    """The literal quoted EXTENSION_ values: Slicer's index reads them without running CMake."""
    text = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    return dict(re.findall(r'^set\(EXTENSION_([A-Z]+) "([^"$]+)"\)$', text, flags=re.MULTILINE))


def test_extension_metadata_is_complete_and_literal():
    values = cmake_values()
    assert set(values) == {
        "HOMEPAGE",
        "CATEGORY",
        "CONTRIBUTORS",
        "DESCRIPTION",
        "ICONURL",
        "SCREENSHOTURLS",
        "DEPENDS",
    }
    assert values["DEPENDS"] == "PyTorch"
    assert "not for clinical use" in values["DESCRIPTION"]


def test_extension_description_agrees_with_cmake_and_with_the_schema():
    entry = json.loads((ROOT / "HierSynth.json").read_text(encoding="utf-8"))
    values = cmake_values()
    assert entry["$schema"].endswith("/slicer-extension-catalog-entry-schema-v1.0.1.json#")
    assert set(entry) <= {
        "$schema",
        "category",
        "scm_url",
        "scm_revision",
        "scm_type",
        "build_dependencies",
        "build_subdirectory",
        "enabled",
        "tier",
    }
    assert entry["category"] == values["CATEGORY"]
    assert entry["scm_url"] == values["HOMEPAGE"]
    assert entry["build_dependencies"] == values["DEPENDS"].split()
    assert entry["tier"] in {1, 3, 5}


@pytest.mark.parametrize("field", ["ICONURL", "SCREENSHOTURLS"])
def test_addresses_of_pictures_lead_to_files_of_the_repository(field):
    raw = cmake_values()["HOMEPAGE"].replace("github.com", "raw.githubusercontent.com") + "/main/"
    for address in cmake_values()[field].split():
        assert address.startswith(raw)
        assert (ROOT / address.removeprefix(raw)).is_file()


def test_version_is_the_same_in_library_citation_and_changelog():
    library = (ROOT / "HierSynthLib" / "__init__.py").read_text(encoding="utf-8")
    version = re.search(r'^__version__ = "(\d+\.\d+\.\d+)"$', library, flags=re.MULTILINE)[1]
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.findall(r"^## \[(\d+\.\d+\.\d+)\]", changelog, flags=re.MULTILINE)[0] == version


def requirement_name(requirement: str) -> str:
    return re.match(r"[A-Za-z0-9._-]+", requirement)[0].lower()


def test_constraints_pin_every_direct_dependency_and_nothing_else():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    requirements = [*project["dependencies"], *chain.from_iterable(project["optional-dependencies"].values())]
    direct = {requirement_name(requirement) for requirement in requirements} - {project["name"].lower()}
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][0-9a-z.]*", pin) for pin in pins)
    assert sorted(requirement_name(pin) for pin in pins) == sorted(direct)


def test_local_links_and_pictures_of_the_documents_exist():
    documents = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("**/*.md")]
    dead = [
        f"{document.relative_to(ROOT)}: {target}"
        for document in documents
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", document.read_text(encoding="utf-8"))
        if "://" not in target and not (document.parent / target).exists()
    ]
    assert dead == []


def test_readme_starts_with_the_two_commands_and_its_picture():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    start = text[:1500]
    assert "make demo" in start
    assert "make test" in start
    assert "(Resources/Screenshots/demo.png)" in start
    assert "not for clinical use" in start


def test_licence_is_the_whole_apache_licence():
    text = (ROOT / "LICENSE.txt").read_text(encoding="utf-8")
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text
    assert all(re.search(rf"^ +{number}\. [A-Z]", text, flags=re.MULTILINE) for number in range(1, 10))


def test_repository_stays_small_enough_for_the_extensions_index():
    listed = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    names = listed.stdout.split("\0")[:-1] or sorted(tree(ROOT))
    sizes = {name: (ROOT / name).stat().st_size for name in names if (ROOT / name).is_file()}
    assert sum(sizes.values()) < 60e6
    assert max(sizes.values()) <= 12e6


def test_ci_runs_the_readme_test_command_from_any_folder(tmp_path):
    """A `make` that only writes down where and how it is called stands in for the real one."""
    fake = tmp_path / "make"
    fake.write_text('#!/bin/sh\necho "$PWD: $@"\nexit 7\n')
    fake.chmod(0o755)
    ran = run(ROOT / ".ci" / "run", cwd=tmp_path, env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"})
    assert ran.stdout == f"{ROOT}: test\n"
    assert ran.returncode == 7
    assert "\nmake test" in (ROOT / "README.md").read_text(encoding="utf-8")


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run make as from a fresh terminal: `make test` itself hands its options and variables to its children."""
    handed_down = {"MAKEFLAGS", "MFLAGS", "MAKELEVEL", "PYTHON", "VENV", "TORCH", "OUT"}
    env = {name: value for name, value in os.environ.items() if name not in handed_down}
    return run("make", "--no-print-directory", *arguments, env=env)


def dry_run(*arguments: str) -> str:
    planned = make("--dry-run", *arguments)
    assert planned.returncode == 0, planned.stderr
    return planned.stdout


def test_make_demo_sets_up_a_fresh_environment_first(tmp_path):
    plan = dry_run("demo", f"VENV={tmp_path}/env", "OUT=somewhere")
    steps = ["-m venv", "install -c constraints.txt torch", "install -c", '-e ".[phantom]"', "hiersynth demo --out"]
    positions = [plan.index(step) for step in steps]
    assert positions == sorted(positions)
    assert plan.rstrip().endswith('hiersynth demo --out "somewhere"')
    assert ".[tests]" not in plan


def test_make_test_checks_style_types_and_tests_in_a_fresh_environment(tmp_path):
    plan = dry_run("test", f"VENV={tmp_path}/env")
    steps = ["-m venv", '-e ".[tests]"', "ruff check", "ruff format --check", "mypy", "-m pytest"]
    positions = [plan.index(step) for step in steps]
    assert positions == sorted(positions)


def test_second_make_installs_nothing_until_the_pins_change(tmp_path):
    environment = tmp_path / "env"
    (environment / "bin").mkdir(parents=True)
    for name in ("bin/pip", "constraints.txt", ".setup", ".setup-tests"):
        (environment / name).touch()
    assert " install " not in dry_run("test", f"VENV={environment}")
    changed = dry_run("test", f"VENV={environment}", "--what-if=constraints.txt")
    assert '-e ".[phantom]"' in changed
    assert '-e ".[tests]"' in changed
    assert "-m venv" not in changed


def test_named_torch_is_installed_even_into_a_finished_environment(tmp_path):
    environment = tmp_path / "env"
    (environment / "bin").mkdir(parents=True)
    for name in ("bin/pip", "constraints.txt", ".setup"):
        (environment / name).touch()
    plan = dry_run("setup", f"VENV={environment}", "TORCH=torch==2.12.0 --index-url https://example.org")
    assert "install --upgrade torch==2.12.0 --index-url https://example.org\n" in plan
    assert "install -c constraints.txt torch" not in plan


@pytest.mark.parametrize(("version", "accepted"), [((3, 10, 14), False), ((3, 11, 0), True)])
def test_python_that_is_too_old_is_refused_in_one_line(tmp_path, version, accepted):
    """A Python that claims another version, and that makes no environment when asked for one."""
    claim = f"import sys; sys.version_info = {version}; exec(sys.argv[2])"
    other = tmp_path / "python3.x"
    other.write_text(f'#!/bin/sh\n[ "$1" = -c ] || exit 3\nexec {sys.executable} -c "{claim}" "$@"\n')
    other.chmod(0o755)
    ended = make("setup", f"PYTHON={other}", f"VENV={tmp_path}/env")
    assert ended.returncode != 0
    assert ended.stderr.startswith("HierSynth needs Python 3.11 or newer") is not accepted
    assert ("PYTHON=python3.12" in ended.stderr) is not accepted
    assert ("-m venv" in ended.stdout) is accepted
    assert not (tmp_path / "env").exists()


def test_help_lists_every_target():
    listed = set(re.findall(r"^  make ([a-z-]+)", make().stdout, flags=re.MULTILINE))
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)[1]
    assert listed == set(phony.split()) - {"FORCE"}
