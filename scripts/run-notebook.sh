#!/usr/bin/env bash
# run-notebook.sh: execute the notebook against the workspace on this machine, by its server, or one started for the time
# that it takes. The notebook itself knows nothing of it; the executed copy is left in build/notebooks/.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
name=mlflow-for-batch-tabular.ipynb
bin=$PWD/.venv/bin

if ! "$bin/batchtwin" env --check 2>/dev/null; then
  exec 3< <(exec "$bin/batchtwin" serve --port 0)
  server=$!
  trap 'kill "$server" 2>/dev/null || true' EXIT
  # The first line is said when it listens.
  read -r _ <&3 || { echo "run-notebook: the server did not start" >&2; exit 1; }
fi
exports=$("$bin/batchtwin" env)
eval "$exports"
# The notebook takes the folder above its own for the project's.
mkdir -p build/notebooks
copy=notebooks/.executed.ipynb
cp "notebooks/$name" "$copy"
trap 'rm -f "$copy"; [[ -z ${server:-} ]] || kill "$server" 2>/dev/null || true' EXIT
"$bin/jupyter-execute" --inplace "$copy"
mv "$copy" "build/notebooks/$name"
echo "$PWD/build/notebooks/$name"
