# `make` alone lists the targets. Every target sets up what it needs.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

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

model/MLmodel: | $(VENV)
	@$(BIN)/python scripts/train.py

.PHONY: train
train: $(VENV) ## train on data/train/heart.csv, print the scores, write the MLflow model to model/
	@$(BIN)/python scripts/train.py

.PHONY: data data-uci
data: $(VENV) ## write the synthetic data again (it is in git; this gives the same bytes)
	@$(BIN)/python scripts/make_data.py

data-uci: $(VENV) ## fetch the real UCI table to data/uci/heart.csv (needs internet)
	@$(BIN)/python scripts/fetch_uci.py

.PHONY: lock
lock: $(VENV) ## compile requirements.lock again from pyproject.toml and environment/conda.yaml
	@$(BIN)/python scripts/lock.py
