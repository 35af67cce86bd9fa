# `make` alone lists the targets, `make help ALL=1` also those with ### (steps, maintenance). Every target sets up what it needs.
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
# test processes of `test`; each starts jobs of its own. What starts more for itself, as a cluster, gets two.
PROCESSES ?= 3
TWO := --numprocesses 2
# the browser of test-browser; without one Playwright fetches its own
CHROMIUM ?= $(firstword $(foreach name,chromium chromium-browser google-chrome,$(shell command -v $(name))))
# as --port 9443
SERVE_FLAGS ?=
# as --no-browser
LAB_FLAGS ?=
# all, check, ledger, lock, parent, scale, serve or away
WHAT ?= all
BENCH_FLAGS ?= $(if $(filter all,$(WHAT)),--write docs/performance.md)
ALL ?=

BIN := .venv/bin
# What using the project needs; with DEV also tests, checks and benchmarks.
VENV := .venv/.installed
DEV := .venv/.installed-dev
export PYTHON DOCKER IMAGE BASE_IMAGE DOCKER_BUILD_FLAGS RUNNER DEPLOYMENT INPUT MODEL OUTPUT SCORE_FLAGS
export AZ DRY_RUN ENDPOINT_NAME DEPLOYMENT_NAME JOB_NAME WEB DOWNLOAD_PATH

.PHONY: help
help: ### this list; ALL=1 with steps and maintenance
	@awk -v all="$(ALL)" -f scripts/help.awk $(MAKEFILE_LIST)

LOCKS := requirements.lock
DEV_LOCKS := $(LOCKS) tests/requirements.lock

$(VENV): $(LOCKS) pyproject.toml
	@scripts/setup.sh .venv $(if $(wildcard $(DEV)),$(DEV_LOCKS),$(LOCKS))
	@touch $@ $(wildcard $(DEV))

$(DEV): $(DEV_LOCKS) pyproject.toml
	@scripts/setup.sh .venv $(DEV_LOCKS)
	@touch $(VENV) $@

##@ Use
.PHONY: train
train: $(VENV) ## train on data/train/heart.csv, print the scores, write model/ (MODEL)
	@$(BIN)/python scripts/train.py --model "$(MODEL)"

.PHONY: image
image: $(VENV) ### build the base image (IMAGE, BASE_IMAGE, DOCKER, DOCKER_BUILD_FLAGS)
	@docker/build.sh

.PHONY: local-score local-score-custom
local-score: $(VENV) ## score data/ in the container, else in .venv (RUNNER, DEPLOYMENT, INPUT, MODEL, OUTPUT, SCORE_FLAGS)
	@scripts/local-score.sh

local-score-custom: DEPLOYMENT = deployment-custom/deployment.yml
local-score-custom: local-score ## the same with deployment-custom/, which brings a scoring script

# JupyterLab and nbconvert; the notebook's kernel is .venv's.
LAB := .venv-lab/.installed

$(LAB): notebooks/requirements.txt | $(VENV)
	@scripts/setup.sh --bare .venv-lab notebooks/requirements.txt
	@touch $@

.PHONY: serve notebook lab
serve: $(VENV) ## the workspace on this machine as a server for the Azure SDK (SERVE_FLAGS)
	@$(BIN)/batchtwin serve $(SERVE_FLAGS)

notebook: $(VENV) $(LAB) ## execute the notebook on this machine; the result is in build/notebooks/, as HTML too
	@scripts/run-notebook.sh

lab: $(VENV) $(LAB) ## JupyterLab on the notebook, on loopback with a token (LAB_FLAGS)
	@scripts/lab.sh $(LAB_FLAGS)

##@ Azure
# A dry run sets nothing up, either.
READY := $(if $(DRY_RUN),,$(VENV))
STEP = @scripts/deploy-and-run.sh $@

.PHONY: deploy register-model create-compute create-data create-endpoint deploy-simple deploy-custom
deploy: $(READY) ## model, compute, data, endpoint, two deployments; AZ=batchtwin: to this machine (DRY_RUN, ENDPOINT_NAME, MODEL)
	$(STEP)

register-model: $(READY) ### register model/, if its content is new
	$(STEP)

create-compute: $(READY) ### create the cluster, with no nodes while idle
	$(STEP)

create-data: $(READY) ### register data/, if its content is new
	$(STEP)

create-endpoint: $(READY) ### create the endpoint, under a name of its own
	$(STEP)

deploy-simple: $(READY) ### create or change the deployment without a scoring script; it is the default
	$(STEP)

deploy-custom: $(READY) ### create or change the deployment with a scoring script
	$(STEP)

.PHONY: invoke show stream list-jobs download undeploy rehearse
invoke: $(READY) ## start a job on the endpoint (DEPLOYMENT_NAME, JOB_NAME)
	$(STEP)

show: $(READY) ### show the last job (JOB_NAME, WEB)
	$(STEP)

stream: $(READY) ## follow the last job to its end (JOB_NAME)
	$(STEP)

list-jobs: $(READY) ### the jobs of the endpoint (DEPLOYMENT_NAME)
	$(STEP)

download: $(READY) ## bring the last job's predictions to named-outputs/score/ (JOB_NAME, DOWNLOAD_PATH)
	$(STEP)

undeploy: $(READY) ## delete the endpoint and its deployments; jobs, outputs, models and data stay
	$(STEP)

rehearse: AZ = batchtwin
rehearse: $(READY) ## deploy, invoke, stream, download and undeploy on this machine
	@scripts/deploy-and-run.sh deploy invoke stream download undeploy

##@ Develop
# An SDK of another age, which tests the server: it cannot live beside the one of .venv.
OLD_SDK := .venv-old-sdk/.installed

$(OLD_SDK): tests/azure/old-sdk.txt | $(DEV)
	@scripts/setup.sh --bare .venv-old-sdk tests/azure/old-sdk.txt
	@touch $@

# The core of the Azure CLI, whose parser is compared with ours.
REAL_AZ := build/real-az/.installed

$(REAL_AZ): tests/azure/real-az.txt | $(DEV)
	@scripts/setup.sh --bare $(@D) tests/azure/real-az.txt
	@touch $@

.PHONY: test coverage test-container test-azurite test-ray test-pythons test-browser test-zoo test-samples test-all
test: $(DEV) $(OLD_SDK) $(REAL_AZ) ## all tests that need no container engine and no network (PYTEST_FLAGS)
	@$(BIN)/pytest -m "not container and not azurite and not pythons and not ray and not browser and not zoo and not samples" --numprocesses $(PROCESSES) --dist worksteal --durations 25 $(COVERAGE) $(PYTEST_FLAGS)

# Every process of every job is traced, which takes three times as long: not for each change. Ray's rooms are Ray's tests'.
coverage: $(DEV) ### `make test test-ray`, and which branches of src they take; fails below 95 %
	@$(BIN)/coverage erase
	@$(MAKE) test test-ray COVERAGE="--cov --cov-append --cov-report= --cov-fail-under=0"
	@$(BIN)/coverage report

test-container: $(DEV) ## build the image and test in it (PYTEST_FLAGS)
	@$(BIN)/pytest -m container $(TWO) --dist loadfile tests/container --durations 10 $(PYTEST_FLAGS)

test-ray: $(DEV) ## Ray's own tests, and those of behaviour and of faults on a cluster (PYTEST_FLAGS="-m on_ray": those of CI)
	@$(BIN)/pytest -m "ray and not azurite" $(TWO) --dist loadfile tests/engine tests/stores --durations 10 $(COVERAGE)
	@$(BIN)/pytest --pool ray -m "not local" $(TWO) tests/behaviour tests/faults --durations 10 $(COVERAGE) $(PYTEST_FLAGS)

# Microsoft's emulator of the blob service; npm's lock pins it and all it needs.
AZURITE := build/azurite/.installed

$(AZURITE): tests/azurite/package.json tests/azurite/package-lock.json
	@command -v $(NPM) >/dev/null || { echo "make: Azurite needs Node.js 18 or later with npm (apt-get install nodejs npm)" >&2; exit 1; }
	@mkdir -p $(@D)
	@cp $^ $(@D)
	@$(NPM) ci --prefix $(@D) --loglevel=error --ignore-scripts --omit=dev --omit=optional --no-audit --no-fund
	@touch $@

test-azurite: $(DEV) $(AZURITE) ## compare the blob service with Azurite, which npm installs (NPM, PYTEST_FLAGS)
	@$(BIN)/pytest -m azurite $(TWO) --dist loadfile tests/azure/server/blobs tests/stores $(PYTEST_FLAGS)

test-pythons: $(DEV) ## batchtwin_node under Python 3.8 to 3.13 and MLflow 1 to 3, in environments below build/pythons/ (PYTEST_FLAGS)
	@$(BIN)/pytest -m pythons $(TWO) --dist loadgroup tests/pythons --durations 10 $(PYTEST_FLAGS)

# Playwright drives the browser from an environment of its own; axe-core is npm's. CHROMIUM names a browser that is here.
BROWSER := build/browser/.installed

$(BROWSER): tests/browser/requirements.txt tests/browser/package.json tests/browser/package-lock.json | $(DEV)
	@command -v $(NPM) >/dev/null || { echo "make: axe-core needs npm (apt-get install nodejs npm)" >&2; exit 1; }
	@mkdir -p $(@D)
	@cp tests/browser/package.json tests/browser/package-lock.json $(@D)
	@$(NPM) ci --prefix $(@D) --loglevel=error --ignore-scripts --omit=dev --no-audit --no-fund
	@scripts/setup.sh --bare $(@D)/venv tests/browser/requirements.txt
	@$(if $(CHROMIUM),true,$(@D)/venv/bin/playwright install --with-deps chromium)
	@touch $@

test-browser: $(DEV) $(BROWSER) ## reports in Chromium: no error, no request, accessible (CHROMIUM, NPM, PYTEST_FLAGS)
	@CHROMIUM="$(CHROMIUM)" $(BIN)/pytest -m browser $(TWO) tests/report --durations 10 $(PYTEST_FLAGS)

lab-lock: $(VENV) ### compile notebooks/requirements.txt again from requirements.in
	@$(BIN)/python -m uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --custom-compile-command "make $@" notebooks/requirements.in --output-file notebooks/requirements.txt

browser-lock: $(VENV) ### compile tests/browser/requirements.txt again from requirements.in
	@$(BIN)/python -m uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --custom-compile-command "make $@" tests/browser/requirements.in --output-file tests/browser/requirements.txt

test-zoo: $(DEV) ## models of many flavors, each value compared with MLflow's, in an environment below build/pythons/ (PYTEST_FLAGS)
	@$(BIN)/pytest -m zoo $(TWO) tests/zoo --durations 10 $(PYTEST_FLAGS)

# Two processes: each has a server and a client that mostly wait for jobs.
test-samples: $(DEV) ## the six model samples, by CLI and SDK, in environments below build/samples/ (PYTEST_FLAGS)
	@$(BIN)/pytest -m samples --numprocesses 2 tests/azure/server/samples --durations 10 $(PYTEST_FLAGS)

test-all: test test-container test-azurite test-ray test-pythons test-browser test-zoo test-samples ## all eight

# What git tracks or would track.
FILES = git ls-files --cached --others --exclude-standard -z
SHELL_FILES = $(FILES) '*.sh' .ci/run
YAML_FILES = $(FILES) '*.yml' '*.yaml'

.PHONY: check fix
check: $(DEV) ## ruff, mypy --strict, shellcheck, yamllint; changes nothing
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/mypy --config-file tests/pythons/mypy.ini
	@$(BIN)/vermin --quiet --no-tips --violations --target=3.8- src/batchtwin_node src/azureml_user
	@$(SHELL_FILES) | xargs -0 $(BIN)/shellcheck
	@$(YAML_FILES) | xargs -0 $(BIN)/yamllint --strict
	@$(BIN)/python scripts/behaviour_doc.py --check
	@$(BIN)/python scripts/sdk_doc.py --check

fix: $(DEV) ## let ruff repair what it can
	@$(BIN)/ruff check --fix --show-fixes
	@$(BIN)/ruff format

.PHONY: docs docs-serve recording
docs: $(DEV) ## build/site/: the documentation as a site, links checked
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "build/site/index.html"

docs-serve: $(DEV) ### the site at http://127.0.0.1:8000, built again at each change
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs serve --strict

recording: $(VENV) ### run the commands of docs/recording.svg and make the picture again
	@$(BIN)/python scripts/recording.py

.PHONY: old-sdk old-sdk-lock real-az real-az-lock
old-sdk: $(OLD_SDK) ### .venv-old-sdk with azure-ai-ml 1.28.1; `test` does this by itself

old-sdk-lock: $(VENV) ### compile tests/azure/old-sdk.txt again from old-sdk.in
	@$(BIN)/python -m uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-strip-extras --custom-compile-command "make $@" tests/azure/old-sdk.in --output-file tests/azure/old-sdk.txt

real-az: $(REAL_AZ) ### build/real-az with azure-cli-core; `test` does this by itself

real-az-lock: $(VENV) ### compile tests/azure/real-az.txt again from real-az.in
	@$(BIN)/python -m uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-strip-extras --custom-compile-command "make $@" tests/azure/real-az.in --output-file tests/azure/real-az.txt

.PHONY: venv behaviour sdk-doc data data-uci lock check-dependencies
venv: $(VENV) ### .venv from requirements.lock; every other target does this by itself

behaviour: $(DEV) ### write docs/behaviour.md from the marks on the behaviour tests
	@$(BIN)/python scripts/behaviour_doc.py

sdk-doc: $(DEV) ### write the tables of docs/sdk.md from the marks on the server's tests
	@$(BIN)/python scripts/sdk_doc.py

data: $(VENV) ### write the synthetic data again (it is in git; this gives the same bytes)
	@$(BIN)/python scripts/make_data.py

data-uci: $(DEV) ### fetch the real UCI table to data/uci/heart.csv (needs internet)
	@$(BIN)/python scripts/fetch_uci.py

lock: $(VENV) ### compile both locks again from pyproject.toml and environment/conda.yaml
	@$(BIN)/python scripts/lock.py

check-dependencies: $(VENV) ### what batchtwin needs resolves beside older packages, and works in its lowest versions
	@scripts/check-dependencies.sh

# What was made; .venv, the workspace, model/ and the way back to Azure (.endpoint-name, .job-name) stay.
MADE := outputs named-outputs mlruns mlartifacts mlflow.db build .coverage coverage.xml .hypothesis .mypy_cache .pytest_cache .ruff_cache

.PHONY: clean distclean
clean: ## remove outputs, build results and caches; print each (.venv, the workspace and model/ stay)
	@scripts/clean.sh $(MADE) $(wildcard .coverage.*)

distclean: ## also remove .venv, the workspace, fetched data and the images that were built
	@scripts/clean.sh $(MADE) $(wildcard .coverage.*) .venv .venv-bench .venv-lab .venv-old-sdk .batchtwin .job-name-rehearsal data/uci
	@scripts/clean-images.sh "$(IMAGE)"

##@ Measure
# The peers' environment is ours and theirs, in one set of versions.
BENCH_VENV := .venv-bench/.installed

$(BENCH_VENV): $(DEV_LOCKS) benchmarks/requirements.txt pyproject.toml | $(DEV)
	@echo "Setting up .venv-bench: what .venv has, and Polars, Spark, Ray, Dask (3 GB; a few minutes, once)"
	@scripts/setup.sh .venv-bench $(DEV_LOCKS) benchmarks/requirements.txt
	@.venv-bench/bin/python -m compileall -q $$(.venv-bench/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
	@touch $@

BENCH_KINDS := all check report ledger lock parent scale scaling serve away
BENCH_MODULE = $(or $(patsubst all,bench,$(filter all,$(WHAT))),$(patsubst serve,serve_load,$(filter serve,$(WHAT))),$(WHAT))
BENCH_PYTHON = $(if $(filter all,$(WHAT)),.venv-bench,.venv)/bin/python

.PHONY: bench soak
bench: $(if $(filter all,$(WHAT)),$(BENCH_VENV),$(DEV)) ## WHAT=all|check|report|ledger|lock|parent|scale|scaling|serve|away; docs/performance.md says what each measures (BENCH_FLAGS)
	@$(if $(filter $(BENCH_KINDS),$(WHAT)),,echo "make: WHAT=$(WHAT): choose one of $(BENCH_KINDS)" >&2; exit 2)
	@$(BENCH_PYTHON) -m benchmarks.$(BENCH_MODULE) $(BENCH_FLAGS)

soak: $(DEV) ## kill jobs at random and resume them, for SOAK_SECONDS (an hour)
	@BATCHTWIN_SOAK_SECONDS=$(or $(SOAK_SECONDS),3600) $(BIN)/pytest -q tests/soak
