# `make` alone lists the targets. Every target sets up what it needs.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules --no-print-directory

PYTHON ?= python3
DOCKER ?= docker
IMAGE ?= heart-classifier-batch:latest
BASE_IMAGE ?= python:3.11-slim-bookworm
DOCKER_BUILD_FLAGS ?=
# docker or venv; empty: docker where an engine answers, else venv
RUNNER ?=
DEPLOYMENT ?= deployment-simple/deployment.yml
INPUT ?= data
MODEL ?= model
OUTPUT ?=
SCORE_FLAGS ?=
PYTEST_FLAGS ?=
# test processes; each starts jobs of its own
PROCESSES ?= 3

BIN := .venv/bin
VENV := .venv/.installed
export DOCKER IMAGE BASE_IMAGE DOCKER_BUILD_FLAGS RUNNER DEPLOYMENT INPUT MODEL OUTPUT SCORE_FLAGS

.PHONY: help
help: ## print this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 24

$(VENV): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "make: $(PYTHON) is older than Python 3.11; name another: make PYTHON=python3.11" >&2; exit 1; }
	@echo "Setting up .venv (a minute or two, once)"
	@$(PYTHON) -m venv --clear .venv
	@$(BIN)/pip install -qq --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	@$(BIN)/pip install -qq --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m compileall -q src
	@touch $@

.PHONY: venv
venv: $(VENV) ## .venv from requirements.lock; every other target does this by itself

# Only the model of this project can be made here; with MODEL=DIR that folder has to be there.
MODEL_MADE := $(if $(filter model model/ ./model,$(MODEL)),model/MLmodel)

model/MLmodel: | $(VENV)
	@$(BIN)/python scripts/train.py

.PHONY: train
train: $(VENV) ## train on data/train/heart.csv, print the scores, write the MLflow model (to MODEL, model/)
	@$(BIN)/python scripts/train.py --model "$(MODEL)"

.PHONY: image
image: ## build the image that runs batch jobs (IMAGE, BASE_IMAGE, DOCKER, DOCKER_BUILD_FLAGS)
	@docker/build.sh

.PHONY: local-score local-score-custom
local-score: $(VENV) $(MODEL_MADE) ## score data/ in the container (RUNNER, DEPLOYMENT, INPUT, MODEL, OUTPUT, SCORE_FLAGS)
	@scripts/local-score.sh

local-score-custom: DEPLOYMENT = deployment-custom/deployment.yml
local-score-custom: local-score ## the same with deployment-custom/, which brings a scoring script

.PHONY: test test-container test-all
test: $(VENV) model/MLmodel ## all tests that need no container engine and no network (PYTEST_FLAGS)
	@$(BIN)/pytest -m "not container" --cov --numprocesses $(PROCESSES) --dist worksteal $(PYTEST_FLAGS)

test-container: $(VENV) model/MLmodel ## build the image and test in it (PYTEST_FLAGS)
	@$(BIN)/pytest -m container $(PYTEST_FLAGS)

test-all: test test-container ## both

# What git tracks or would track.
FILES = git ls-files --cached --others --exclude-standard -z
SHELL_FILES = $(FILES) '*.sh' .ci/run
YAML_FILES = $(FILES) '*.yml' '*.yaml'

.PHONY: check fix
check: $(VENV) ## ruff, mypy --strict, shellcheck, yamllint; changes nothing
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(SHELL_FILES) | xargs -0 $(BIN)/shellcheck
	@$(YAML_FILES) | xargs -0 $(BIN)/yamllint --strict
	@$(BIN)/python scripts/behaviour_doc.py --check

fix: $(VENV) ## let ruff repair what it can
	@$(BIN)/ruff check --fix --show-fixes
	@$(BIN)/ruff format

.PHONY: behaviour soak bench-ledger
bench-ledger: $(VENV) model/MLmodel ## what ledger and checksums cost: the same job with and without them, in turn
	@$(BIN)/python benchmarks/ledger.py

behaviour: $(VENV) ## write docs/behaviour.md from the marks on the behaviour tests
	@$(BIN)/python scripts/behaviour_doc.py

soak: $(VENV) ## kill jobs at random and resume them, for SOAK_SECONDS (an hour)
	@BATCHTWIN_SOAK_SECONDS=$(or $(SOAK_SECONDS),3600) $(BIN)/pytest -q tests/faults/test_kill.py -k random

.PHONY: data data-uci
data: $(VENV) ## write the synthetic data again (it is in git; this gives the same bytes)
	@$(BIN)/python scripts/make_data.py

data-uci: $(VENV) ## fetch the real UCI table to data/uci/heart.csv (needs internet)
	@$(BIN)/python scripts/fetch_uci.py

.PHONY: lock
lock: $(VENV) ## compile requirements.lock again from pyproject.toml and environment/conda.yaml
	@$(BIN)/python scripts/lock.py

# Caches of the source tree; .venv goes whole.
CACHES := .coverage .coverage.* coverage.xml .hypothesis .mypy_cache .pytest_cache .ruff_cache

.PHONY: clean
clean: ## remove what was made: outputs, model, caches, .venv, the image; nothing that git tracks
	@rm -rf outputs model mlruns mlartifacts mlflow.db data/uci .batchtwin $(CACHES) .venv
	@find . -name .git -prune -o -name __pycache__ -prune -exec rm -rf {} +
	@if $(DOCKER) image inspect "$(IMAGE)" >/dev/null 2>&1; then $(DOCKER) image rm "$(IMAGE)" >/dev/null; fi
