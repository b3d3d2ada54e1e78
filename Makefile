# make run: serve the app on 127.0.0.1:7860 · make test: everything the tests need, then the tests
PYTHON ?= python3.11
BIN := .venv/bin
DATA ?= ../shared/data/aria

.PHONY: run test install lint embedded

run: .venv/installed
	GRADIO_SERVER_PORT=$${GRADIO_SERVER_PORT:-7860} $(BIN)/python app.py

test: .venv/installed-dev lint
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile

lint: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

install: .venv/installed

# Takes about ten minutes on two cores.
embedded: .venv/installed-dev build/efficientnet_lite0.safetensors
	$(BIN)/python -m benchmarks.embedded_default $(DATA)

build/efficientnet_lite0.safetensors: .venv/installed-dev
	$(BIN)/python -m benchmarks.lite0_weights $@

.venv/installed: requirements.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

.venv/installed-dev: .venv/installed requirements-dev.txt
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@
