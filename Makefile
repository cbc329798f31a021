# make demo      see it move (ARGS="--duration 60s")
# make test      everything but the long ones
# make test-deep the long ones: many more examples, long runs
# make chaos     workers killed, stopped and woken on a real Kafka, 10^6 events: is every number exact? (half an hour)
# make soak      two hours of 2,000 events a second on a real Kafka: does anything grow? (ARGS="--hours 8")
# make soak-state  three hours of event time in memory: which part of a worker's state grows? (minutes)
# make bench     floorpulse beside other stream processors on a real Kafka, and its ceilings: one table (some 35 minutes; ARGS=...)
# make bench-compare  what takes more than 10 % more CPU than the saved baseline?
# make native    the compiled core, where Rust is at hand (cargo): several times as fast
# make lint      ruff and mypy
# make mutation  does some test notice when a rule is broken? (minutes)
# make reference what is generated: docs/indicators.md, docs/configuration.md, docs/schemas, grafana/dashboards
# make rules     compose/prometheus/rules.yml anew from the default thresholds
# make screens   the pictures in docs/screens anew, in Chromium
#
# Each makes its own environment in .venv first; delete that folder to start anew.

PYTHON ?= python3
BANK_FOLDER := ../shared/data
BANK_FILE := bank-calls-1999-02-first-half.tsv.gz
VENV := .venv
STAMP := $(VENV)/.made-from-pyproject
BIN := $(VENV)/bin

# Real call records for tests, only where they lie beside the project.
ifneq ($(wildcard $(BANK_FOLDER)/$(BANK_FILE)),)
export FLOORPULSE_BANK_DATA ?= $(abspath $(BANK_FOLDER))
endif

.PHONY: environment demo test test-deep chaos soak soak-state bench bench-compare native lint mutation reference rules screens

environment: $(STAMP)

demo: $(STAMP)
	$(BIN)/floorpulse demo $(ARGS)

# Status 5: ARGS chose none of these tests.
test: $(STAMP)
	$(BIN)/python -m pytest -m "not deep and not alone" --numprocesses 3 --dist worksteal $(ARGS) || [ $$? -eq 5 ]
	$(BIN)/python -m pytest -m "alone and not deep" $(ARGS) || [ $$? -eq 5 ]

test-deep: $(STAMP)
	$(BIN)/python -m pytest -m deep --timeout 7200 --hypothesis-profile deep $(ARGS)

chaos: $(STAMP)
	$(BIN)/python -m tests.chaos $(ARGS)

soak: $(STAMP)
	$(BIN)/python -m tests.soak $(ARGS)

soak-state: $(STAMP)
	$(BIN)/python -m tests.soak.state $(ARGS)

bench: $(STAMP)
	$(BIN)/python -m tests.bench $(ARGS)

bench-compare: $(STAMP)
	$(BIN)/python -m tests.bench --compare $(ARGS)

native: $(STAMP)
	cargo build --release --manifest-path streams/native/Cargo.toml --target-dir .cache/native
	cp .cache/native/release/lib_native.so streams/native/_native.new
	mv streams/native/_native.new streams/native/_native.abi3.so  # not over one that is running

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/mypy

mutation: $(STAMP)
	$(BIN)/python -m tests.mutation $(ARGS)

screens: $(STAMP)
	$(BIN)/python -m tests.e2e.screens

reference: $(STAMP)
	$(BIN)/python -m streams.reference > docs/indicators.md.new
	mv docs/indicators.md.new docs/indicators.md
	$(BIN)/python -m streams.config_page > docs/configuration.md.new
	mv docs/configuration.md.new docs/configuration.md
	$(BIN)/python -m streams.open_data
	$(BIN)/python -m grafana.generate

rules: $(STAMP)
	FLOORPULSE_ALERTS__BOARD_URL=http://127.0.0.1:9464/ FLOORPULSE_ALERTS__GRAFANA_URL=http://127.0.0.1:3000/ \
	  $(BIN)/floorpulse rules --out compose/prometheus/rules.yml

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "floorpulse needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>/dev/null || echo missing)." \
	       "Name another one: make PYTHON=python3.12" >&2; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV) || { \
	  echo "$(PYTHON) cannot make an environment in $(VENV); on Debian: apt install python3-venv" >&2; exit 1; }
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[demo,dev]'
	@touch $@
