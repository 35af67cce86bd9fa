#!/usr/bin/env bash
# run-notebook.sh: execute the notebook against the workspace on this machine, by its server, or one started for the time
# that it takes. The notebook itself knows nothing of it; the executed copy and its HTML are left in build/notebooks/.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
name=mlflow-for-batch-tabular
source scripts/with-server.sh

# The notebook takes the folder above its own for the project's.
mkdir -p build/notebooks
copy=notebooks/.executed.ipynb
cp "notebooks/$name.ipynb" "$copy"
trap 'rm -f "$copy"; [[ -z ${server:-} ]] || kill "$server" 2>/dev/null || true' EXIT
"$bin/jupyter-execute" --inplace "$copy"
mv "$copy" "build/notebooks/$name.ipynb"
# No address of elsewhere in the page: pictures and tables need no script.
.venv-lab/bin/jupyter-nbconvert --log-level=ERROR --to html --HTMLExporter.mathjax_url= --HTMLExporter.require_js_url= \
  --HTMLExporter.jquery_url= --HTMLExporter.mermaid_js_url= "build/notebooks/$name.ipynb"
echo "$PWD/build/notebooks/$name.ipynb"
echo "$PWD/build/notebooks/$name.html"
