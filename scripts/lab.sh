#!/usr/bin/env bash
# lab.sh [FLAG...]: JupyterLab from .venv-lab on the notebook, with the kernel of .venv, against the workspace on this
# machine: by its server, or one started for as long as JupyterLab runs. It listens on loopback and asks for a token.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/with-server.sh

.venv/bin/python -m ipykernel install --prefix .venv-lab --name python3 --display-name "Python (.venv)" >/dev/null
.venv-lab/bin/jupyter-lab --ServerApp.ip=127.0.0.1 --ServerApp.root_dir="$PWD" \
  --LabApp.default_url=/lab/tree/notebooks/mlflow-for-batch-tabular.ipynb "$@"
