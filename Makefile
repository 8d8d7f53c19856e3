# One word per chore; `make` alone lists them. Needs Python 3.11 or newer with venv, pip and make.

PYTHON ?= python3
VENV ?= .venv
PINNED_TORCH := $(shell grep '^torch==' constraints.txt)
# What pip installs as torch. Choose another build or version here and nowhere else, for example
# make install TORCH="torch==2.11.0 --index-url <a wheel index>"
TORCH ?= $(PINNED_TORCH)
# Another torch may not go with the pinned setuptools, and pip would rather replace the torch.
UNPINNED := $(if $(filter-out $(PINNED_TORCH),$(TORCH)),torch|setuptools,torch)

# With a token in the user's home Ray asks local clusters for it; jobs and tests here start their own.
export RAY_AUTH_MODE ?= disabled
export RAY_USAGE_STATS_ENABLED ?= 0
# Where this is set, each process of a cluster compiles the project anew, which takes it two seconds.
unexport PYTHONDONTWRITEBYTECODE

BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest
# A test keeps to one thread, so each processor takes a test; of clusters there are two at a time.
PARALLEL := --numprocesses logical --maxprocesses 8 --dist loadfile
CLUSTERS := --numprocesses logical --maxprocesses 2 --dist loadfile
# To collect the other files takes a minute and finds nothing.
ON_CLUSTERS = $$(grep -rl --include='test_*.py' 'pytest.mark.ray' tests)
IN_CLOUDS = $$(grep -rl --include='test_*.py' 'pytest.mark.cloud' tests)
# Another torch or Python is another installation, so both are part of the stamp's name.
STAMP := $(VENV)/.installed-$(shell printf '%s' '$(PYTHON) $(TORCH)' | cksum | cut -d ' ' -f 1)

.DEFAULT_GOAL := help
BASE ?= pocket
REGISTRY ?= concepts
PORT ?= 8000

.PHONY: help demo serve test test-unit test-ray test-failed test-cluster test-gpu mutants bench-gpu check format install clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(STAMP) ## teach the example concept to the pocket base
	$(BIN)/python rayjobs/train.py

serve: $(STAMP) ## serve the concepts in REGISTRY from BASE on this machine, at PORT
	$(BIN)/python -m serve --base "$(BASE)" --registry "$(REGISTRY)" --port $(PORT)

# Two processes of two threads each on two processors would take many times as long.
test test-unit test-ray test-failed test-cluster: export OMP_NUM_THREADS = 1

test: test-unit test-ray ## all tests that need no GPU and no root

test-unit: $(STAMP) ## tests without Ray
	$(PYTEST) $(PARALLEL) -m "not ray and not gpu and not cloud"

test-ray: $(STAMP) ## tests on a local Ray cluster
	$(PYTEST) $(CLUSTERS) -m "ray and not gpu" $(ON_CLUSTERS)

test-failed: $(STAMP) ## the tests that failed last, once more and one by one
	$(PYTEST) --last-failed --last-failed-no-failures none -m "not gpu and not cloud"

test-cluster: $(STAMP) ## tests on machines made of namespaces, as root
	$(PYTEST) --durations 0 -m cloud $(IN_CLOUDS)

test-gpu: $(STAMP) ## tests that need a CUDA device
	$(PYTEST) -m gpu

mutants: $(STAMP) ## try the tests with small faults; MODULES="cdcore.model.seam ..." chooses
	$(BIN)/python -m tests.mutation $(MODULES)

bench-gpu: $(STAMP) ## measure training on a CUDA device, under ten minutes
	$(BIN)/python benchmarks/training/gpu.py --json runs/bench-gpu.json

check: $(STAMP) ## formatting, lint, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP) ## put the code into its standard form
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

install: $(STAMP) ## make the environment (done once, and again when the pins change)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed: make PYTHON=...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install $(TORCH)
	grep -vE '^($(UNPINNED))==' constraints.txt > $(VENV)/constraints.txt
	$(BIN)/python -c 'from importlib.metadata import version; print("torch==" + version("torch"))' >> $(VENV)/constraints.txt
	$(BIN)/pip install --constraint $(VENV)/constraints.txt --editable '.[dev,heif]'
	rm -f $(VENV)/.installed-*
	touch $@

clean: ## remove the environment and every cache; runs/ stays
	rm -rf $(VENV) build dist *.egg-info .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
