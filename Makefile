# `make` lists the targets. Everything is installed into VENV and nowhere else.

PYTHON ?= python3
VENV ?= .venv
OUT ?= demo
# Another build of torch, as arguments for pip, for instance
#   make setup TORCH="torch --index-url https://download.pytorch.org/whl/cpu"
TORCH ?=

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
PACKAGE_FILES := pyproject.toml constraints.txt

.DEFAULT_GOAL := help
.PHONY: help setup setup-tests demo panel screenshots test lint cmake-lists clean FORCE

help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: $(VENV)/.setup ## make the environment in .venv (PYTHON=…, VENV=…, TORCH="…")

setup-tests: $(VENV)/.setup-tests ## the same, with what the tests need

demo: setup ## simulate a patient and synthesise its CBV map into demo/ (OUT=…)
	$(BIN)/hiersynth demo --out "$(OUT)"

panel: setup-tests ## open the panel on this display, without Slicer
	$(BIN)/python -m Testing.host

screenshots: export QT_QPA_PLATFORM = offscreen
screenshots: setup-tests ## render the panel with the demo case into Resources/Screenshots/
	$(BIN)/python -m Testing.host.screenshots

# Three processes at once for two cores, each with the tests of whole files: small arrays and many child processes gain
# more by that than by threads, and one of the three often waits.
TEST_PROCESSES ?= 3
test: export OMP_NUM_THREADS ?= 1
test: export ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS ?= 1
test: export QT_QPA_PLATFORM = offscreen
test: export MPLBACKEND = Agg
test: lint ## lint, then run all tests (PYTEST_ARGS=…)
	$(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadfile $(PYTEST_ARGS)

lint: setup-tests ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

cmake-lists: ## rewrite the file lists of the CMakeLists.txt files from the tree
	$(PYTHON) Testing/cmake_lists.py

clean: ## remove caches and builds; the environment and the demo folder stay
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -path ./$(VENV) -prune -o -name __pycache__ -type d -exec rm -rf {} +

# pip is the last thing that venv puts there, so an environment that was broken off is made again.
$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "HierSynth needs Python 3.11 or newer, and '$(PYTHON)' is not. Name one: make setup PYTHON=python3.12" >&2; \
		exit 1; }
	$(PYTHON) -m venv $(VENV)

# torch first and alone: afterwards the torch that is there is the constraint, so that pip never replaces it.
$(VENV)/constraints.txt: $(PACKAGE_FILES) $(if $(TORCH),FORCE) | $(BIN)/pip
ifneq ($(TORCH),)
	$(PIP) install --upgrade $(TORCH)
else
	$(PIP) show --quiet torch 2>/dev/null || $(PIP) install -c constraints.txt torch
endif
	grep -v '^torch==' constraints.txt > $@.part
	$(BIN)/python -c 'from importlib.metadata import version; print("torch==" + version("torch"))' >> $@.part
	mv $@.part $@

$(VENV)/.setup: $(VENV)/constraints.txt
	$(PIP) install -c $(VENV)/constraints.txt -e ".[phantom]"
	touch $@

$(VENV)/.setup-tests: $(VENV)/.setup
	$(PIP) install -c $(VENV)/constraints.txt -e ".[tests]"
	touch $@
