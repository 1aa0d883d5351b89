# Needs GNU make and Python 3.11 or newer, and a C compiler for eflomal, which comes as source.
# PYTHON chooses another interpreter: make test PYTHON=python3.12

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUNTIME := $(VENV)/.runtime
DEV := $(VENV)/.dev

# Which torch: PyPI's for Linux brings gigabytes of GPU libraries. PyTorch's index, or pip's settings of this machine,
# have the CPU build. make TORCH=cuda, cpu or none chooses.
TORCH ?= $(if $(shell command -v nvidia-smi),cuda,cpu)
CPU_INDEX := $(if $(PIP_FIND_LINKS),,--extra-index-url https://download.pytorch.org/whl/cpu)
PIP := $(BIN)/python -m pip --quiet
UV := $(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps
# Nothing is compiled on installation: modules are compiled when they are first imported, if Python may keep the result.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-slow notebook test-without-torch check docs rescore site lock dist clean

# One recipe and its baseline on the embedded suite with one of its five seeds; no network. One thread, as for the
# published rows: the scores are theirs to the bit, and two threads would mostly wait for each other.
demo: $(RUNTIME)
	OMP_NUM_THREADS=1 $(BIN)/xrealign-bench evaluate --seed 31 --offline --output demo-output

test: $(DEV)
	# The models are so small that threads only wait for each other: processes share out the files of tests instead.
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

# Whole matrices and tests of killed processes, which take hours on two cores.
test-slow: $(DEV)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slow -n auto --maxprocesses 4 --dist loadfile

# The notebook of the documentation, with nothing stored: two minutes.
notebook: $(DEV)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -m slow tests/test_notebook.py

# Specs, languages, scoring and leaderboard need no torch.
test-without-torch:
	$(MAKE) TORCH=none VENV=.venv-without-torch .venv-without-torch/.dev
	.venv-without-torch/bin/python -m pytest -q tests/specs tests/languages tests/scoring tests/leaderboard

check: $(DEV) docs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/mypy
	$(BIN)/codespell
	$(BIN)/python -m pytest -q tests/test_layers.py
	# The boards are what is built from the results.
	rm -rf build/leaderboard && mkdir -p build && cp -r leaderboard build/leaderboard
	$(BIN)/xrealign-bench leaderboard build build/leaderboard/results > /dev/null
	diff -r leaderboard build/leaderboard
	$(BIN)/python scripts/check_links.py leaderboard

# Every published figure, computed again from the stored predictions.
rescore: $(RUNTIME)
	OMP_NUM_THREADS=1 $(BIN)/xrealign-bench rescore leaderboard/results

# The boards as HTML pages, in site/; open site/index.html.
site: $(RUNTIME)
	$(BIN)/xrealign-bench leaderboard site leaderboard/results --output site
	$(BIN)/python scripts/check_links.py site

# The documentation as a site, in build/docs; broken links and anchors are errors. Open build/docs/index.html.
docs: $(DEV)
	# Not --quiet: mkdocs then counts no warnings, and --strict finds nothing.
	$(BIN)/python -m mkdocs build --strict

# Pin the dependencies of pyproject.toml anew; UPGRADE="torch pyarrow" moves these to their newest versions.
lock: $(RUNTIME)
	PATH="$(BIN):$$PATH" $(BIN)/python scripts/lock.py $(UPGRADE)

# A wheel and an sdist in dist/, with the version of the newest tag.
dist: $(RUNTIME)
	rm -rf dist
	$(BIN)/python -m hatchling build
	$(BIN)/uv tool run twine check --strict dist/*

define INSTALL_TORCH_cpu
# pip knows where this machine keeps wheels, and uv unpacks them in a third of the time.
$(PIP) download --no-deps --require-hashes --dest $(VENV)/wheels $(CPU_INDEX) -r requirements/torch-cpu.txt
$(UV) $(VENV)/wheels/torch-*.whl
rm -r $(VENV)/wheels
endef
INSTALL_TORCH_none :=
INSTALL_TORCH_cuda = $(UV) --require-hashes -r requirements/torch-cuda.txt

# Stamps are touched last, so that an interrupted installation is done again.
$(RUNTIME): pyproject.toml $(addprefix requirements/,uv.txt torch-cpu.txt torch-cuda.txt runtime.txt source.txt)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "xrealign-bench needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>&1)." \
	    "Choose another one: make PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --no-deps --no-compile --require-hashes -r requirements/uv.txt
	$(INSTALL_TORCH_$(TORCH))
	$(UV) --require-hashes -r requirements/runtime.txt
	$(UV) --require-hashes --no-build-isolation -r requirements/source.txt
	$(UV) --no-build-isolation --editable .
	touch $@

$(DEV): $(RUNTIME) requirements/dev.txt
	$(UV) --require-hashes -r requirements/dev.txt
	touch $@

clean:
	rm -rf $(VENV) .venv-without-torch demo-output site build dist .pytest_cache .mypy_cache .ruff_cache
