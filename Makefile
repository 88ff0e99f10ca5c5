# Works with nothing but Python 3.11-3.13, its venv module, make and a C library.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --quiet --disable-pip-version-check
ARGS   ?=
DATA   ?= ../shared/data
# Most tests wait for processes of their own, a fifth of the time for nothing else: files of tests run side by side, one
# more than there are cores.
JOBS   ?= $(shell echo $$(($$(getconf _NPROCESSORS_ONLN) + 1)))
TESTS  := -m pytest --numprocesses $(JOBS) --maxprocesses 4 --max-worker-restart 0 --dist loadfile

.PHONY: demo test check bench train clean
.DELETE_ON_ERROR:

$(VENV)/.dev: pyproject.toml constraints.txt
	@echo "setting up $(VENV), once; this takes about a minute"
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
		{ echo "$(PYTHON) is not Python 3.11-3.13: name one, as in make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install --upgrade pip
	@# Twice quiet: the build warns at length of what an editable installation is.
	@$(PIP) install --quiet -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(VENV)/.dev  ## everything at once: relay, simulated SMSC, real clients, a table of verdicts
	@$(BIN)/smsc-filter demo $(ARGS)

test: $(VENV)/.dev  ## all tests
	$(BIN)/python $(TESTS) $(ARGS)

check: $(VENV)/.dev  ## what a change must pass: format, lint, types, import contract, tests with branch coverage
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python $(TESTS) --cov --cov-report=term:skip-covered $(ARGS)

bench: $(VENV)/.dev  ## direct, through a splice, observing, and with all checks on, side by side
	$(BIN)/smsc-filter bench $(ARGS)

train: $(VENV)/.dev  ## models/default from labelled JSON Lines in DATA
	$(BIN)/python -m training train --data $(DATA) --out models/default $(ARGS)

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
