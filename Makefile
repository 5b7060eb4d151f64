# `make demo`, `make demo-keycloak`, `make test`, `make test-long`, `make fuzz`, `make bench`, `make soak`, `make fleet`
# and `make lint`; each makes .venv itself, or .venv-bench, when it is absent or the lock file has changed. `make test`
# brings the servers that it can bring without root, and with SERVERS=apt the others too; with ARGS it runs a part of the
# tests, whose coverage says nothing.
# `make test-long` tries 20 times what `make test` tries once, since it depends on luck: races and killed workers; and 100
# changes under load in place of 10.
# `make fuzz` runs until it is stopped or finds something; with ARGS as libFuzzer has them, for a while:
# ARGS=-max_total_time=600.
# `make bench` measures beside the packages of others, which stand in .venv-bench, apart from what is tested. It writes
# docs/benchmarks; with ARGS it measures some of the cases, ARGS="requests steps", and writes nothing.
PYTHON ?= python3
ARGS ?=
SERVERS ?=

BIN := .venv/bin
INSTALLED := .venv/.installed
BENCH_BIN := .venv-bench/bin
BENCH_INSTALLED := .venv-bench/.installed

LONG_TESTS := $(addprefix tests/integration/test_,races.py killed_workers.py user_races_on_servers.py \
  propagation.py)

.PHONY: demo demo-keycloak test test-long servers fuzz bench soak fleet lint

demo: $(INSTALLED)
	@$(BIN)/python -m example_app.demo $(ARGS)

demo-keycloak: $(INSTALLED)
	@$(BIN)/python -m example_app.demo --keycloak $(ARGS)

test: $(INSTALLED) servers
ifneq ($(strip $(ARGS)),)
	$(BIN)/python -m pytest $(ARGS)
else
	$(BIN)/coverage erase
	$(BIN)/coverage run --branch -m pytest
	@$(BIN)/coverage combine --quiet
	@echo "Coverage of the package in percent; $(BIN)/coverage report shows where it is missing:"
	@$(BIN)/coverage report --format=total
endif

test-long: $(INSTALLED) servers
	LONG=1 $(BIN)/python -m pytest --durations=0 --durations-min=1 $(LONG_TESTS) $(ARGS)

servers: $(INSTALLED)
	@SERVERS=$(SERVERS) $(BIN)/python -m tests.integration.install

fuzz: $(INSTALLED)
	@mkdir -p .fuzz/corpus
	$(BIN)/python -m tests.fuzz.fuzz_parse -max_len=17408 -timeout=10 -dict=tests/fuzz/jose.dict \
	  -artifact_prefix=.fuzz/ $(ARGS) .fuzz/corpus tests/fuzz/corpus

bench: $(BENCH_INSTALLED)
	$(BENCH_BIN)/python -m benchmarks $(ARGS)

soak: $(BENCH_INSTALLED)
	$(BENCH_BIN)/python -m benchmarks.soak $(ARGS)

fleet: $(BENCH_INSTALLED)
	$(BENCH_BIN)/python -m benchmarks.fleet $(ARGS)

lint: $(INSTALLED)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/sphinx-build --quiet --fresh-env --fail-on-warning --keep-going docs docs/_build/html

$(INSTALLED): requirements/dev.txt setup.cfg
$(BENCH_INSTALLED): requirements/bench.txt setup.cfg
$(INSTALLED) $(BENCH_INSTALLED):
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed, and \
	$(PYTHON) is %d.%d; name another one: make PYTHON=python3.13 ..." % sys.version_info[:2])'
	@echo "Making $(@D) (once; it takes a minute)"
	@$(PYTHON) -m venv --clear $(@D)
	@$(@D)/bin/python -m pip --quiet --disable-pip-version-check install --requirement $<
	@$(@D)/bin/python -m pip --quiet --disable-pip-version-check install --no-deps --no-build-isolation --editable .
	@touch $@
