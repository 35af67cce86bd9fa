#!/usr/bin/env bash
# make-python.sh VERSION CONDA_FILE PREFIX: make an environment with this Python (3.11) and no packages of pip. With conda,
# where the base image brings it, from CONDA_FILE, which has no pip section; else as a venv of python3.
set -euo pipefail
version=$1 conda_file=$2 prefix=$3

if command -v conda >/dev/null; then
  echo "Making the environment with conda, Python $version"
  conda env create --quiet --prefix "$prefix" --file "$conda_file"
  conda clean --all --yes --quiet
else
  echo "Making the environment as a venv, Python $version"
  python3 -m venv "$prefix"
fi

found=$("$prefix/bin/python" -c 'import sys; print("{}.{}".format(*sys.version_info))')
if [[ $found != "$version" ]]; then
  echo "make-python: the conda file asks for Python $version, the base image has $found; choose another BASE_IMAGE" >&2
  exit 1
fi
