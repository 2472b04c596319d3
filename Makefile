# Everything a newcomer types. Needs python3 (3.11 or later), make and a network; nothing else.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
CODE := api telemetry operator worker cli tools charts benchmarks examples tests
OUT ?= runs/digits
CLUSTER_TESTS ?=
FAULT_PLANS ?= 160
ADVISORIES ?=
CASES ?= 100000
SEED ?= 0

export OMP_NUM_THREADS ?= 1

.DEFAULT_GOAL := help
.PHONY: help setup demo test unit fuzz check faults peers format protos generate lock supply-chain clean
.PHONY: cluster-up cluster-down cluster-logs cluster-images cluster-test

help: ## List what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## Make the environment alone (.venv)

$(READY): requirements.lock tools/bootstrap.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "atoll needs Python 3.11 or later: make PYTHON=python3.12 ..." >&2; exit 1; }
	@echo "Setting up $(VENV): a few minutes the first time, torch is large."
	@test -x $(BIN)/uv || $(PYTHON) -m venv --clear $(VENV) \
	  || { echo "python3 lacks venv: install it (Debian: apt install python3-venv)" >&2; exit 1; }
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  --require-hashes -r tools/bootstrap.lock
	@$(BIN)/uv pip sync --quiet --compile-bytecode --python $(BIN)/python --require-hashes tools/bootstrap.lock requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(READY) ## Train four islands on real digits and show what comes out
	@$(BIN)/atoll run examples/digits.yaml --out $(OUT)

test: $(READY) ## Run all tests that need no root
	$(BIN)/pytest -n 2 --dist loadfile --ignore=tests/cluster tests

unit: $(READY) ## Run the unit tests alone
	$(BIN)/pytest tests/unit

fuzz: $(READY) ## Try CASES damaged or made-up jobs, messages, files and orders (SEED=0): a table of what was found
	$(BIN)/pytest -n 2 --dist loadfile -q --show-capture=no tests/fuzz --fuzz-cases $(CASES) --fuzz-seed $(SEED) --fuzz-log fuzz.log

check: $(READY) ## Format, lint, types, layers, generated files, locks, licences, sizes
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy $(CODE)
	$(BIN)/lint-imports
	$(BIN)/python tools/generate_protos.py --check
	$(BIN)/python tools/check_protos.py
	$(BIN)/python tools/generate_crd.py --check
	$(BIN)/python tools/generate_chart_readme.py --check
	$(BIN)/python tools/generate_cli_help.py --check
	$(BIN)/python tools/generate_troubleshooting.py --check
	$(BIN)/python -m tools.generate_monitoring --check
	$(BIN)/python -m tools.benchmarks page --check
	$(BIN)/python -m tools.supply_chain check
	$(BIN)/pytest -q tests/house

faults: $(READY) ## Run whole jobs under drawn faults: 160 on simulated time (FAULT_PLANS=N)
	$(BIN)/pytest tests/faults/test_simulated.py tests/faults/test_planted.py --fault-plans $(FAULT_PLANS)

peers: $(READY) ## Measure Atoll beside Flower, NVFlare, mergekit and bare torch: half an hour, on a quiet machine
	$(BIN)/python -m tools.benchmarks peers

format: $(READY) ## Format, and fix what the linter can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

protos: $(READY) ## Release the protos: what they say now must stay readable from here on
	$(BIN)/python tools/check_protos.py --release

generate: $(READY) ## Write the generated files: protos/gen, the CRD, the chart's table of values, --help and reasons in docs, dashboards, alerts, figures
	$(BIN)/python tools/generate_protos.py
	$(BIN)/python tools/generate_crd.py
	$(BIN)/python tools/generate_chart_readme.py
	$(BIN)/python tools/generate_cli_help.py
	$(BIN)/python tools/generate_troubleshooting.py
	$(BIN)/python -m tools.generate_monitoring
	$(BIN)/python -m tools.benchmarks page

# What torch loads on a machine with GPUs only; it starts and trains without (tests/cluster).
GPU_ONLY := triton cuda-bindings cuda-pathfinder nvidia-cuda-cccl nvidia-cusolver nvidia-nvtx
COMPILE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-header

lock: ## Resolve pyproject.toml into the locks anew (needs uv)
	$(COMPILE) --extra cli --extra objects --extra tracing --group dev pyproject.toml -o requirements.lock
	$(COMPILE) --no-annotate --extra operator --extra tracing -c requirements.lock pyproject.toml \
	  -o requirements-operator.lock
	$(COMPILE) --no-annotate --extra worker --extra objects --extra tracing -c requirements.lock pyproject.toml \
	  -o requirements-worker.lock
	$(COMPILE) --no-annotate --extra worker --extra objects --extra tracing -c requirements.lock pyproject.toml \
	  $(addprefix --no-emit-package ,$(GPU_ONLY)) -o requirements-worker-cpu.lock
	echo "uv" | $(COMPILE) --no-annotate - -o tools/bootstrap.lock

supply-chain: $(READY) ## Locks, licences, what the images are made of (dist/), known vulnerabilities (ADVISORIES=an export of OSV)
	$(BIN)/python -m tools.supply_chain check
	$(BIN)/python -m tools.supply_chain sbom operator --out dist/sbom-operator.json
	$(BIN)/python -m tools.supply_chain sbom worker --out dist/sbom-worker.json
	$(BIN)/python -m tools.supply_chain sbom worker-cpu --out dist/sbom-worker-cpu.json
	$(BIN)/python -m tools.supply_chain advisories $(addprefix --file ,$(ADVISORIES))

cluster-up: $(READY) ## Start a real Kubernetes on this machine, or repair it (root)
	@$(BIN)/python -m tools.cluster up

cluster-down: $(READY) ## End it and leave nothing behind
	@$(BIN)/python -m tools.cluster down

cluster-logs: $(READY) ## Show the last lines of its components, and what is not ready
	@$(BIN)/python -m tools.cluster logs

cluster-images: $(READY) ## Build Atoll's images from the code as it is, and load them into it
	@$(BIN)/python -m tools.cluster images

cluster-test: $(READY) ## Run the tests that need a cluster; without root they are skipped (CLUSTER_TESTS="-m smoke": a few)
	@$(BIN)/python -m tools.cluster up --images --if-possible
	$(BIN)/pytest $(CLUSTER_TESTS) tests/cluster

clean: ## Remove the environment and every cache
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
