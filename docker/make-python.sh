#!/usr/bin/env bash
# make-python.sh CONDA_FILE PREFIX: make an environment with the Python that CONDA_FILE names and nothing else.
# With conda, where the base image brings it, from the file without its pip section; else as a venv of python3.
set -euo pipefail
conda_file=$1 prefix=$2

version=$(sed -nE 's/^ *- *python *=+ *([0-9]+\.[0-9]+).*/\1/p' "$conda_file")
: "${version:?"$conda_file names no Python: add - python=3.11"}"

if command -v conda >/dev/null; then
  echo "Making the environment with conda, Python $version"
  # The pip section is last, as conda's documentation has it; pip gets it later, with hashes.
  file=$(mktemp --suffix .yaml)
  sed '/^ *- *pip *: *$/,$d' "$conda_file" >"$file"
  conda env create --quiet --prefix "$prefix" --file "$file"
  conda clean --all --yes --quiet
  rm "$file"
else
  echo "Making the environment as a venv, Python $version"
  python3 -m venv "$prefix"
fi

found=$("$prefix/bin/python" -c 'import sys; print("{}.{}".format(*sys.version_info))')
if [[ $found != "$version" ]]; then
  echo "make-python: $conda_file asks for Python $version, the base image has $found; choose another BASE_IMAGE" >&2
  exit 1
fi
