# Everything here makes its own virtual environment in .venv; nothing else is touched.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# A file's tests share what is slow to begin, such as a Dagster; tests/conftest.py orders the files.
PYTEST := $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: install demo ui test test-all test-long lint bench bench-full rehearsal pictures clean

install: $(VENV)/demo-ready

demo: $(VENV)/demo-ready
	$(BIN)/topview-pipeline demo

ui: $(VENV)/demo-ready
	$(BIN)/topview-pipeline ui

test: $(VENV)/dev-ready
	$(PYTEST) -m "not slow"

test-all: $(VENV)/dev-ready
	sh tests/browser/install_chromium.sh
	$(PYTEST)

# The tests whose strength is their number, for a night: random days, the soak, bad scenes.
test-long: $(VENV)/dev-ready
	LONG=1 $(BIN)/python -m pytest tests/engine/test_machine.py tests/engine/test_review.py \
		tests/scenarios/test_soak.py

lint: $(VENV)/dev-ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Some 15 minutes on two idle cores; bench-full has the sizes of the targets and takes hours.
bench: $(VENV)/dev-ready
	$(BIN)/python -m benchmarks

bench-full: $(VENV)/dev-ready
	$(BIN)/python -m benchmarks --full

# The pictures of docs/: the rooms from the imports, the gallery and Dagster from the demo.
pictures: $(VENV)/dev-ready demo
	$(BIN)/python docs/architecture.py
	$(BIN)/python -m tests.browser.pictures

# deploy/compose.yaml without containers, with faults and kills; PRODUCTS=300 is the size to trust.
PRODUCTS ?= 12
rehearsal: $(VENV)/dev-ready
	$(BIN)/python -m deploy.rehearsal --products $(PRODUCTS)

clean:
	rm -rf $(VENV) .demo .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "Python 3.10 or newer is needed; name one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/demo-ready: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[sandbox]'
	@touch $@

$(VENV)/dev-ready: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@ $(VENV)/demo-ready
