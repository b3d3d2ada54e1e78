# make run: serve the app on 127.0.0.1:7860 · make install: set up training too · make test: set up and run the tests
SHELL := /bin/bash
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3.14 python3 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check
# One thread for each of the two processes: more of them would wait for one another.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder
DATA ?= ../shared/data/aria

.PHONY: run test install lint types coverage wheel embedded segmenter kinds

run: .venv/installed-app
	GRADIO_SERVER_PORT=$${GRADIO_SERVER_PORT:-7860} $(BIN)/python app.py

install: .venv/installed

test: lint types
	$(PYTEST)

# Rules on style and on what may import what.
lint: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: .venv/installed-dev
	$(BIN)/mypy

coverage: .venv/installed-dev
	$(PYTEST) --cov --cov-report=term

# The wheel, installed into an environment of its own and used there.
wheel: .venv/installed-dev
	$(BIN)/python -m scripts.check_wheel

# Trains the embedded model again: about ten minutes on two cores.
embedded: .venv/installed-dev build/efficientnet_lite0.safetensors
	$(BIN)/python -m scripts.train_embedded_model $(DATA)

# Trains the segmentation network again: about an hour on two cores. Interrupted, it goes on where it was.
segmenter: DATA = ../shared/data
segmenter: .venv/installed-dev
	$(BIN)/python -m scripts.segmentation_sources $(DATA) build/segmentation
	$(BIN)/python -m leuko train-segmenter build/segmentation/{bccd,raabin,chula,pbc,aria}.csv \
		--output runs/segmenter --resume
	cp runs/segmenter/{network.onnx,training.json} leuko/cells/segmentation/learned/

# Trains the network of kinds again: about two hours on two cores. Interrupted, it goes on where it was.
kinds: DATA = ../shared/data
kinds: .venv/installed-dev
	$(BIN)/python -m scripts.kind_sources $(DATA) build/kinds
	$(BIN)/python -m leuko train-kinds build/kinds/{bccd,raabin,pbc,aria}.csv --output runs/kinds --resume
	cp runs/kinds/{network.onnx,calibration.json,training.json} leuko/cells/kinds/

build/efficientnet_lite0.safetensors: .venv/installed-dev
	$(BIN)/python -m scripts.write_imagenet_weights $@

.venv/created:
	@test -n "$(PYTHON)" || { echo "Deep Leuko needs CPython 3.11 or newer, and none was found. Install it, or name it: make run PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv .venv
	touch $@

# Packages are compiled when they are first imported, not when they are installed: that halves the time of the first run.
.venv/installed-app: .venv/created requirements-app.txt pyproject.toml
	$(PIP) --no-compile -r requirements-app.txt
	$(PIP) --no-deps --editable .
	touch $@

.venv/installed: .venv/installed-app requirements.txt
	$(PIP) -r requirements.txt
	$(BIN)/python -m compileall -qq -j 0 .venv/lib || true  # some packages carry files of other Python versions
	touch $@

.venv/installed-dev: .venv/installed requirements-dev.txt
	$(PIP) -r requirements-dev.txt
	touch $@
