# Needs GNU make and Python 3.11 or newer, and a C compiler for eflomal, which comes as source.
# PYTHON chooses another interpreter: make test PYTHON=python3.12

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: demo test check rescore site docs clean

# One recipe and its baseline on the embedded suite with one of its five seeds; no network.
demo: $(INSTALLED)
	$(BIN)/xrealign-bench evaluate --seed 31 --offline --output demo-output

test: $(INSTALLED)
	# The models are so small that threads only wait for each other: processes share out the files of tests instead.
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

check: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_layers.py
	# The boards are what is built from the results.
	rm -rf build/leaderboard && mkdir -p build && cp -r leaderboard build/leaderboard
	$(BIN)/xrealign-bench leaderboard build build/leaderboard/results > /dev/null
	diff -r leaderboard build/leaderboard
	$(BIN)/python scripts/check_links.py leaderboard

# Every published figure, computed again from the stored predictions.
rescore: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/xrealign-bench rescore leaderboard/results

# The boards as HTML pages, in site/; open site/index.html.
site: $(INSTALLED)
	$(BIN)/xrealign-bench leaderboard site leaderboard/results --output site
	$(BIN)/python scripts/check_links.py site

# The documentation as a site, in build/docs; broken links and anchors are errors. Open build/docs/index.html.
docs: $(INSTALLED)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[docs]"
	# Not --quiet: mkdocs then counts no warnings, and --strict finds nothing.
	$(BIN)/python -m mkdocs build --strict

# The stamp is touched last, so that an installation that was interrupted is done again.
$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "xrealign-bench needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>&1)." \
	    "Choose another one: make PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[test,dev]"
	touch $@

clean:
	rm -rf $(VENV) demo-output site build dist .pytest_cache .mypy_cache .ruff_cache
