# Two commands set up everything: `make quickstart` and `make test`. PYTHON picks the interpreter.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
WORKDIR ?= runs/quickstart

.PHONY: quickstart test test-slow lint types lock clean

$(VENV)/.ready: requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	touch $@

$(VENV)/.dev-ready: requirements-dev.txt | $(VENV)/.ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	touch $@

quickstart: $(VENV)/.ready
	$(BIN)/python main.py --config=configs/quickstart.py --workdir=$(WORKDIR)
	$(BIN)/python -m scripts.fig_batch_size --workdir=$(WORKDIR)
	$(BIN)/python -m scripts.export_records --workdir=$(WORKDIR) --out=$(WORKDIR)/records.csv --overwrite
	@echo "figure: $(WORKDIR)/figures/batch_size.png    table: $(WORKDIR)/records.csv"

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

# Anew from pyproject.toml, with hashes.
lock: $(VENV)/.dev-ready
	$(BIN)/uv pip compile -q --generate-hashes --no-emit-index-url --no-header pyproject.toml -o requirements.txt
	$(BIN)/uv pip compile -q --generate-hashes --no-emit-index-url --no-header --extra dev pyproject.toml -o requirements-dev.txt -c requirements.txt

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache
