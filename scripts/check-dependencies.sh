#!/usr/bin/env bash
# check-dependencies.sh: what batchtwin needs resolves beside older and newer packages of a deployment, and the
# controller's tests pass on the lowest versions that pyproject.toml allows. Needs a package index. Run by
# `make check-dependencies`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
uv=${UV:-.venv/bin/uv}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# Each line: what a user's environment may hold already.
while read -r line; do
  tr ' ' '\n' <<<"$line" >"$folder/beside.txt"
  "$uv" pip compile --quiet --python-version 3.11 --no-build pyproject.toml "$folder/beside.txt" >"$folder/resolved.txt"
  echo "resolves beside $line"
done <<'LINES'
mlflow==2.9.* pandas==1.5.* packaging==23.* typer==0.9.* fsspec==2023.*
mlflow==2.14.* pandas==2.0.* packaging==23.*
mlflow==2.22.* pandas==2.2.*
mlflow==3.1.* pandas==2.3.*
mlflow>=3.5 pandas>=3
LINES

# With an old Typer comes the click of its time. fsspec tells when a file of the web was changed since 2024.
echo 'click<8.2' >"$folder/beside.txt"
"$uv" pip compile --quiet --python-version 3.11 --resolution lowest-direct --extra workspace \
  pyproject.toml "$folder/beside.txt" >"$folder/lowest.txt"
"$uv" venv --quiet --python 3.11 "$folder/venv"
"$uv" pip install --quiet --python "$folder/venv/bin/python" -r "$folder/lowest.txt" pytest pytest-xdist hypothesis jsonschema
"$uv" pip install --quiet --python "$folder/venv/bin/python" --no-deps .
echo "tests of the controller on the lowest versions"
"$folder/venv/bin/python" -m pytest -q -p no:cacheprovider tests/deployment \
  tests/inputs/test_{listing,plan,remote}.py tests/engine/test_{job,prepare,progress}.py \
  tests/engine/output/test_{difference,folder}.py tests/environments/test_lines.py \
  --deselect tests/inputs/test_remote.py::test_a_file_of_the_web
