#!/usr/bin/env bash
# install.sh REQUIREMENTS PREFIX: install exactly what REQUIREMENTS lists, each file checked against its hashes,
# without what no job needs: tests of the libraries, symbol tables, bytecode of modules that scoring never imports.
set -euo pipefail
requirements=$1 python=$2/bin/python

echo "Installing the environment (a minute or two)"
"$python" -m pip install -qq --no-compile --no-deps --require-hashes -r "$requirements"

# The list is closed: only the multi-GPU half of xgboost, which the lock leaves out, may be missed.
if missed=$("$python" -m pip check | grep -v -e 'requires nvidia-nccl-cu12' -e '^No broken requirements'); then
  echo "install: requirements.lock does not go together: $missed" >&2
  exit 1
fi

# uv makes environments, which no job in a container does: 40 MB.
rm -f "$2/bin/uv" "$2/bin/uvx"

packages=$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
for name in matplotlib numpy pandas pyarrow scipy sklearn; do
  if [[ -d $packages/$name ]]; then find "$packages/$name" -type d -name tests -prune -exec rm -r {} +; fi
done

# A library that does not load without its symbol table keeps it.
if command -v strip >/dev/null; then
  echo "Stripping libraries"
  find "$packages" -name '*.so*' -size +1000k | while read -r library; do
    if strip --strip-unneeded -o "$library.new" "$library" \
      && "$python" -c 'import ctypes, sys; ctypes.CDLL(sys.argv[1])' "$library.new"; then
      cat "$library.new" >"$library"
    fi
    rm -f "$library.new"
  done 2>/dev/null
fi

echo "Compiling what jobs import"
# Not every environment has all of these.
env -u PYTHONDONTWRITEBYTECODE HOME=/tmp "$python" -W ignore -c '
import contextlib, importlib
for name in (
    "mlflow.pyfunc", "mlflow.sklearn", "mlflow.xgboost", "numpy", "pandas", "pyarrow.parquet", "PIL.Image",
    "skops.io", "threadpoolctl", "xgboost.sklearn", "jinja2", "psutil", "pydantic.dataclasses", "rich.progress", "typer", "yaml",
):
    with contextlib.suppress(ImportError):
        importlib.import_module(name)
with contextlib.suppress(ImportError):
    importlib.import_module("sklearn.utils").all_estimators()
'
"$python" -W ignore "$(dirname "$0")/skops_startup.py"
