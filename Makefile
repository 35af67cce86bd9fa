# `make` alone lists the targets. Every target sets up what it needs.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules --no-print-directory

PYTHON ?= python3
DOCKER ?= docker
NPM ?= npm
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
# where `deploy` and its steps go: az, or batchtwin for the workspace on this machine
AZ ?= az
PYTEST_FLAGS ?=
# test processes; each starts jobs of its own
PROCESSES ?= 3
# as --port 9443
SERVE_FLAGS ?=
BENCH_FLAGS ?= --write docs/performance.md
PARENT_FLAGS ?=
LOAD_FLAGS ?=

BIN := .venv/bin
VENV := .venv/.installed
export DOCKER IMAGE BASE_IMAGE DOCKER_BUILD_FLAGS RUNNER DEPLOYMENT INPUT MODEL OUTPUT SCORE_FLAGS
export AZ DRY_RUN ENDPOINT_NAME DEPLOYMENT_NAME JOB_NAME WEB DOWNLOAD_PATH

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
	@$(BIN)/python -m batchtwin_node.driver.skops_startup
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

# A dry run sets nothing up, either.
READY := $(if $(DRY_RUN),,$(VENV))
READY_TO_DEPLOY := $(READY) $(if $(DRY_RUN),,$(MODEL_MADE))
STEP = @scripts/deploy-and-run.sh $@

.PHONY: deploy register-model create-compute create-data create-endpoint deploy-simple deploy-custom
deploy: $(READY_TO_DEPLOY) ## the next six, to Azure ML; AZ=batchtwin: to this machine (DRY_RUN, ENDPOINT_NAME, MODEL)
	$(STEP)

register-model: $(READY_TO_DEPLOY) ## register model/, if its content is new
	$(STEP)

create-compute: $(READY) ## create the cluster, with no nodes while idle
	$(STEP)

create-data: $(READY) ## register data/, if its content is new
	$(STEP)

create-endpoint: $(READY) ## create the endpoint, under a name of its own
	$(STEP)

deploy-simple: $(READY) ## create or change the deployment without a scoring script; it is the default
	$(STEP)

deploy-custom: $(READY) ## create or change the deployment with a scoring script
	$(STEP)

.PHONY: invoke show stream list-jobs download undeploy rehearse
invoke: $(READY) ## start a job on the endpoint (DEPLOYMENT_NAME, JOB_NAME)
	$(STEP)

show: $(READY) ## show the last job (JOB_NAME, WEB)
	$(STEP)

stream: $(READY) ## follow the last job to its end (JOB_NAME)
	$(STEP)

list-jobs: $(READY) ## the jobs of the endpoint (DEPLOYMENT_NAME)
	$(STEP)

download: $(READY) ## bring the last job's predictions to named-outputs/score/ (JOB_NAME, DOWNLOAD_PATH)
	$(STEP)

undeploy: $(READY) ## delete the endpoint and its deployments; jobs, outputs, models and data stay
	$(STEP)

rehearse: AZ = batchtwin
rehearse: $(READY_TO_DEPLOY) ## deploy, invoke, stream, download and undeploy on this machine
	@scripts/deploy-and-run.sh deploy invoke stream download undeploy

.PHONY: serve notebook
serve: $(VENV) ## the workspace on this machine as a server for the Azure SDK; docs/sdk.md (SERVE_FLAGS)
	@$(BIN)/batchtwin serve $(SERVE_FLAGS)

notebook: $(VENV) $(MODEL_MADE) ## execute notebooks/ on this machine; the result, with its pictures, is in build/notebooks/
	@scripts/run-notebook.sh

# An SDK of another age, which tests the server: it cannot live beside the one of .venv.
OLD_SDK := .venv-old-sdk/.installed

$(OLD_SDK): tests/azure/old-sdk.txt
	@echo "Setting up .venv-old-sdk: azure-ai-ml 1.28.1 (a minute, once)"
	@$(PYTHON) -m venv --clear .venv-old-sdk
	@.venv-old-sdk/bin/pip install -qq --disable-pip-version-check --no-deps --require-hashes -r tests/azure/old-sdk.txt
	@touch $@

.PHONY: old-sdk old-sdk-lock
old-sdk: $(OLD_SDK) ## .venv-old-sdk with azure-ai-ml 1.28.1; `test` does this by itself

old-sdk-lock: $(VENV) ## compile tests/azure/old-sdk.txt again from old-sdk.in
	@$(BIN)/python -m uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-strip-extras --custom-compile-command "make $@" tests/azure/old-sdk.in --output-file tests/azure/old-sdk.txt

.PHONY: test coverage test-container test-azurite test-ray test-all
test: $(VENV) $(OLD_SDK) model/MLmodel ## all tests that need no container engine and no network (PYTEST_FLAGS)
	@$(BIN)/pytest -m "not container and not azurite" --numprocesses $(PROCESSES) --dist worksteal --durations 25 $(PYTEST_FLAGS)

# Every process of every job is traced, which takes half as long again: not for each change.
coverage: PYTEST_FLAGS += --cov
coverage: test ## `make test`, and which branches of src it takes; fails below 95 %

test-container: $(VENV) model/MLmodel ## build the image and test in it (PYTEST_FLAGS)
	@$(BIN)/pytest -m container $(PYTEST_FLAGS)

test-ray: $(VENV) model/MLmodel ## the tests of behaviour and of faults on a Ray cluster (PYTEST_FLAGS="-m on_ray": those of CI)
	@$(BIN)/pytest --pool ray -m "not local" tests/behaviour tests/faults $(PYTEST_FLAGS)

# Microsoft's emulator of the blob service; npm's lock pins it and all it needs.
AZURITE := build/azurite/.installed

$(AZURITE): tests/azurite/package.json tests/azurite/package-lock.json
	@command -v $(NPM) >/dev/null || { echo "make: Azurite needs Node.js 18 or later with npm (apt-get install nodejs npm)" >&2; exit 1; }
	@mkdir -p $(@D)
	@cp $^ $(@D)
	@$(NPM) ci --prefix $(@D) --loglevel=error --ignore-scripts --omit=dev --omit=optional --no-audit --no-fund
	@touch $@

test-azurite: $(VENV) $(AZURITE) ## compare the blob service with Azurite, which npm installs, and run jobs on it (NPM, PYTEST_FLAGS)
	@$(BIN)/pytest -m azurite tests/azure/server/blobs tests/stores $(PYTEST_FLAGS)

test-all: test test-container test-azurite test-ray ## all four

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
	@$(BIN)/python scripts/sdk_doc.py --check

fix: $(VENV) ## let ruff repair what it can
	@$(BIN)/ruff check --fix --show-fixes
	@$(BIN)/ruff format

# The peers' environment is ours and theirs, in one set of versions.
BENCH_VENV := .venv-bench/.installed
BENCH_BIN := .venv-bench/bin

$(BENCH_VENV): requirements.lock benchmarks/requirements.txt pyproject.toml
	@echo "Setting up .venv-bench: what .venv has, and Spark, Ray, Dask (3 GB; a few minutes, once)"
	@$(PYTHON) -m venv --clear .venv-bench
	@$(BENCH_BIN)/pip install -qq --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	@$(BENCH_BIN)/pip install -qq --disable-pip-version-check --no-deps --require-hashes -r benchmarks/requirements.txt
	@$(BENCH_BIN)/pip install -qq --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@$(BENCH_BIN)/python -m compileall -q src $$($(BENCH_BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
	@$(BENCH_BIN)/python -m batchtwin_node.driver.skops_startup
	@touch $@

.PHONY: bench bench-away bench-check bench-ledger bench-lock bench-parent bench-scale bench-serve
bench: $(BENCH_VENV) model/MLmodel ## measure batchtwin and its peers, write docs/performance.md (BENCH_FLAGS="--sets TINY ..." only prints)
	@$(BENCH_BIN)/python -m benchmarks.bench $(BENCH_FLAGS)

bench-away: $(VENV) model/MLmodel ## what it costs that a machine of a Ray cluster shares no folder with the parent
	@$(BIN)/python -m benchmarks.away $(AWAY_FLAGS)

bench-check: $(VENV) model/MLmodel ## ratios on small sets that a regression would break; for CI
	@$(BIN)/python -m benchmarks.check

bench-ledger: $(VENV) model/MLmodel ## what ledger and checksums cost: the same job with and without them, in turn
	@$(BIN)/python -m benchmarks.ledger

bench-lock: $(VENV) ## compile benchmarks/requirements.txt again from requirements.in
	@$(BIN)/python -m benchmarks.lock

bench-scale: $(VENV) ## 100,000 mini-batches: time of each, memory of the parent
	@$(BIN)/python benchmarks/scale.py

bench-parent: $(VENV) ## the parent of 1,000 workers and 10,000,000 mini-batches, without them (PARENT_FLAGS="--mini-batches N")
	@$(BIN)/python -m benchmarks.parent $(PARENT_FLAGS)

bench-serve: $(VENV) ## 200 clients on one server for two minutes: no error, no lost job; start, idle memory and CPU (LOAD_FLAGS)
	@$(BIN)/python -m benchmarks.serve_load $(LOAD_FLAGS)

.PHONY: behaviour sdk-doc soak
behaviour: $(VENV) ## write docs/behaviour.md from the marks on the behaviour tests
	@$(BIN)/python scripts/behaviour_doc.py

sdk-doc: $(VENV) ## write the tables of docs/sdk.md from the marks on the server's tests
	@$(BIN)/python scripts/sdk_doc.py

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
	@rm -rf outputs named-outputs model mlruns mlartifacts mlflow.db data/uci .batchtwin .job-name-rehearsal build .venv-bench .venv-old-sdk $(CACHES) .venv
	@find . -name .git -prune -o -name __pycache__ -prune -exec rm -rf {} +
	@if $(DOCKER) image inspect "$(IMAGE)" >/dev/null 2>&1; then $(DOCKER) image rm "$(IMAGE)" >/dev/null; fi
