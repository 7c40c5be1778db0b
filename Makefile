# Two commands set up everything: `make quickstart` and `make test`; `make help` lists all. PYTHON picks the interpreter,
# 3.11 or later.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
WORKDIR ?= runs/quickstart
# Of `make shen`: how many seeds, trials of the gradient-norm probe per checkpoint, and where.
SEEDS ?= 3
TRIALS ?= 100
SHEN ?= runs/shen

.PHONY: help quickstart shen test test-slow docs lint types lock clean interpreter

help: ## this list
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

# An environment keeps the Python it was made with: one asked for by name must be that, or it would not be what is used.
interpreter:
	@[ -x $(BIN)/python ] || $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "PYTHON=$(PYTHON): Python 3.11 or later is needed, as PYTHON=python3.12"; exit 2; }
ifneq ($(origin PYTHON),file)
	@[ ! -x $(BIN)/python ] || [ "$$($(PYTHON) -V 2>&1)" = "$$($(BIN)/python -V)" ] || { \
		echo "PYTHON=$(PYTHON): the environment $(VENV) has $$($(BIN)/python -V); another one is needed, as VENV=$(VENV)-other"; exit 2; }
endif

$(VENV)/.ready: requirements.txt | interpreter
	[ -x $(BIN)/pip ] || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	touch $@

# The package as it lies here, with its command.
$(BIN)/bsresearch: requirements-build.txt pyproject.toml setup.py | $(VENV)/.ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-build.txt
	PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

$(VENV)/.dev-ready: requirements-dev.txt requirements-build.txt | $(VENV)/.ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt -r requirements-build.txt
	touch $@

quickstart: $(BIN)/bsresearch ## the environment, then a sweep and Shen's article at toy size on digits, and their report
	$(BIN)/bsresearch run --config=quickstart --workdir=$(WORKDIR)
	$(BIN)/bsresearch run --config=shen_digits --workdir=$(WORKDIR)
	$(BIN)/bsresearch report --workdir=$(WORKDIR)
	$(BIN)/bsresearch export --workdir=$(WORKDIR) --out=$(WORKDIR)/records.csv --overwrite
	@echo "report: $(WORKDIR)/report.html    figures: $(WORKDIR)/figures    table: $(WORKDIR)/records.csv"

# Stop it when you like; the same command goes on.
shen: $(BIN)/bsresearch ## Shen's article on Fashion-MNIST: all runs, figures and the report; SEEDS=3 TRIALS=100
	@[ "$(SEEDS)" -ge 1 ] 2>/dev/null || { echo "SEEDS=$(SEEDS): a whole number of at least 1 is needed"; exit 2; }
	$(BIN)/bsresearch prepare --name=fashion_mnist
	$(BIN)/bsresearch run --config=shen --workdir=$(SHEN) --estimate \
		--config.sweep.seed=$(shell seq -s, 0 $$(($(SEEDS)-1))), --config.probe.trials=$(TRIALS)
	$(BIN)/bsresearch report --workdir=$(SHEN)
	@echo "report: $(SHEN)/report.html"

test: $(VENV)/.dev-ready ## the tests
	$(BIN)/python -m pytest

# Trackers, against which loggers are tested.
$(VENV)/.trackers-ready: requirements-wandb.txt requirements-mlflow.txt | $(VENV)/.dev-ready
	for name in wandb mlflow; do \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-$$name.txt || exit 1; done
	touch $@

test-slow: $(VENV)/.dev-ready $(VENV)/.trackers-ready $(VENV)/.docs-ready ## the long ones, by name
	$(BIN)/python -m pytest -m slow

$(VENV)/.docs-ready: requirements-docs.txt | $(VENV)/.ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-docs.txt
	touch $@

SITE ?= build/site
docs: $(VENV)/.docs-ready ## the site of docs/, from any machine without a network; a dead link is an error
	JAX_PLATFORMS=cpu $(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going --fresh-env -b html docs $(SITE)
	@echo "site: $(SITE)/index.html"

lint: $(VENV)/.dev-ready ## style and import layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(VENV)/.dev-ready ## types
	$(BIN)/pyright --project pyproject.toml --pythonpath $(BIN)/python

# From pyproject.toml, with hashes, one file for every supported Python: what the oldest cannot have is pinned twice.
# Versions stay as they are where they can; remove a file to get the latest of everything.
LOCK := uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header
lock: $(VENV)/.dev-ready ## the requirements anew from pyproject.toml, with hashes
	echo 'setuptools>=77' | $(BIN)/$(LOCK) --no-annotate - -o requirements-build.txt
	$(BIN)/$(LOCK) pyproject.toml -o requirements.txt
	$(BIN)/$(LOCK) --extra dev pyproject.toml -o requirements-dev.txt -c requirements.txt
	echo 'wandb>=0.22' | $(BIN)/$(LOCK) --no-annotate - -o requirements-wandb.txt -c requirements-dev.txt
	echo 'mlflow-skinny>=3.4' | $(BIN)/$(LOCK) --no-annotate - -o requirements-mlflow.txt -c requirements-dev.txt -c requirements-wandb.txt
	echo 'rdata>=1' | $(BIN)/$(LOCK) --no-annotate - -o requirements-rdata.txt -c requirements-dev.txt
	printf '%s\n' 'sphinx>=9' 'myst-parser>=5' 'furo>=2025.12' 'nbclient>=0.11' 'ipykernel>=7' | \
		$(BIN)/$(LOCK) --no-annotate - -o requirements-docs.txt -c requirements-dev.txt -c requirements-wandb.txt -c requirements-mlflow.txt

clean: ## removes the environment and caches
	rm -rf $(VENV) .pytest_cache .ruff_cache
