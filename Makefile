# Two commands set up everything: `make quickstart` and `make test`. PYTHON picks the interpreter, 3.11 or later.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
WORKDIR ?= runs/quickstart
# Of `make shen`: how many seeds, trials of the gradient-norm probe per checkpoint, and where.
SEEDS ?= 3
TRIALS ?= 100
SHEN ?= runs/shen

.PHONY: quickstart shen test test-slow lint types lock clean interpreter

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

$(VENV)/.dev-ready: requirements-dev.txt | $(VENV)/.ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	touch $@

quickstart: $(VENV)/.ready
	$(BIN)/python main.py --config=configs/quickstart.py --workdir=$(WORKDIR)
	$(BIN)/python main.py --config=configs/shen_digits.py --workdir=$(WORKDIR)
	$(BIN)/python -m scripts.report --workdir=$(WORKDIR)
	$(BIN)/python -m scripts.export_records --workdir=$(WORKDIR) --out=$(WORKDIR)/records.csv --overwrite
	@echo "report: $(WORKDIR)/report.html    figures: $(WORKDIR)/figures    table: $(WORKDIR)/records.csv"

# Shen's article on Fashion-MNIST: all runs, figures and the report. Stop it when you like; the same command goes on.
shen: $(VENV)/.ready
	@[ "$(SEEDS)" -ge 1 ] 2>/dev/null || { echo "SEEDS=$(SEEDS): a whole number of at least 1 is needed"; exit 2; }
	$(BIN)/python -m scripts.prepare_data --name=fashion_mnist
	$(BIN)/python main.py --config=configs/shen.py --workdir=$(SHEN) --estimate \
		--config.sweep.seed=$(shell seq -s, 0 $$(($(SEEDS)-1))), --config.probe.trials=$(TRIALS)
	$(BIN)/python -m scripts.report --workdir=$(SHEN)
	@echo "report: $(SHEN)/report.html"

test: $(VENV)/.dev-ready
	$(BIN)/python -m pytest

test-slow: $(VENV)/.dev-ready
	$(BIN)/python -m pytest -m slow

lint: $(VENV)/.dev-ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(VENV)/.dev-ready
	$(BIN)/pyright --project pyproject.toml --pythonpath $(BIN)/python

# From pyproject.toml, with hashes, one file for every supported Python: what the oldest cannot have is pinned twice.
# Versions stay as they are where they can; remove a file to get the latest of everything.
LOCK := uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header
lock: $(VENV)/.dev-ready
	$(BIN)/$(LOCK) pyproject.toml -o requirements.txt
	$(BIN)/$(LOCK) --extra dev pyproject.toml -o requirements-dev.txt -c requirements.txt

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache
