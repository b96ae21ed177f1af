# Every target sets up what it needs: a fresh machine with Python 3.11 and make is enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
FAULT ?= crash
RUNS ?= 1
JOBS ?= 2

.PHONY: demo test check mutations crash-points frozen-points false-alarms bench-probes bench-core fuzz fuzz-noise clean \
	help

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "bcm-failover needs Python 3.11 or later; name one with: make PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "this Python has no venv module; on Debian: apt-get install python3-venv"; exit 1; }
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	@touch $@

demo: $(STAMP) ## a real three-node PostgreSQL loses its primary and is failed over, with proof
	$(BIN)/bcm-failover demo --fault $(FAULT) --runs $(RUNS)

# Tests on both processors at once may take each other's time; what fails for that passes alone, and is printed.
test: $(STAMP) ## all tests, against real servers
	$(BIN)/python -m pytest -q -n auto --maxprocesses 4 --dist loadgroup || \
	$(BIN)/python -m pytest -q --last-failed --last-failed-no-failures none

check: $(STAMP) ## formatting, lint, types, import rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

mutations: $(STAMP) ## break every rule in turn: who notices, of all situations and some random scenarios
	$(BIN)/python tests/mutations/sweep.py $(ARGS)

crash-points: $(STAMP) ## kill the daemon at every record of a failover, in turn (about half an hour)
	$(BIN)/python tests/crash_point_run.py --all

frozen-points: $(STAMP) ## freeze the daemon at records of a failover while somebody takes over by hand
	$(BIN)/python tests/frozen_daemon_run.py --points 0-40

false-alarms: $(STAMP) ## twenty of each thing that is no failure, under load
	$(BIN)/python bench/false_alarms.py --times 20

fuzz: $(STAMP) ## random faults in the simulator for ten minutes, from a fresh seed (which it prints)
	$(BIN)/bcm-failover simulate --seconds 600 --jobs $(JOBS)

bench-core: $(STAMP) ## one evaluation in an estate of 1,000 services; how long 10,000 take to load
	$(BIN)/python bench/core_cost.py
	$(BIN)/python bench/estate_load.py

fuzz-noise: $(STAMP) ## ten simulated years of noise for balanced and careful, one for fast: false failovers
	$(BIN)/bcm-failover simulate --noise --years 10 --profile balanced --seed 1 --jobs $(JOBS)
	$(BIN)/bcm-failover simulate --noise --years 10 --profile careful --seed 1 --jobs $(JOBS)
	$(BIN)/bcm-failover simulate --noise --years 1 --profile fast --seed 1 --jobs $(JOBS)

bench-probes: $(STAMP) ## CPU, memory and delay of the probes beside prometheus-blackbox-exporter
	$(BIN)/python -m bench.probes_side_by_side $(ARGS)

clean: ## remove the virtual environment and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis dist build
