# `make demo`, `make test` and `make lint`; each makes .venv itself when it is absent or the lock file has changed.
PYTHON ?= python3
ARGS ?=

BIN := .venv/bin
INSTALLED := .venv/.installed
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check

.PHONY: demo test lint

demo: $(INSTALLED)
	@$(BIN)/python -m example_app.demo $(ARGS)

test: $(INSTALLED)
	$(BIN)/coverage erase
	$(BIN)/coverage run --branch -m pytest $(ARGS)
	@$(BIN)/coverage combine --quiet
	@echo "Coverage of the package in percent; $(BIN)/coverage report shows where it is missing:"
	@$(BIN)/coverage report --format=total

lint: $(INSTALLED)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

$(INSTALLED): requirements/dev.txt setup.cfg
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed, and \
	$(PYTHON) is %d.%d; name another one: make PYTHON=python3.13 ..." % sys.version_info[:2])'
	@echo "Making .venv (once; it takes a minute)"
	@$(PYTHON) -m venv --clear .venv
	@$(PIP) install --requirement requirements/dev.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@
