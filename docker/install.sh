#!/usr/bin/env bash
# install.sh REQUIREMENTS PREFIX: install exactly what REQUIREMENTS lists, each file checked against its hashes.
set -euo pipefail
requirements=$1 python=$2/bin/python

echo "Installing $(grep -c == "$requirements") packages (a minute or two)"
"$python" -m pip install -qq --no-deps --require-hashes -r "$requirements"

# The list is closed: only the multi-GPU half of xgboost, which the lock leaves out, may be missed.
if missed=$("$python" -m pip check | grep -v 'requires nvidia-nccl-cu12'); then
  echo "install: the lock does not go together: $missed" >&2
  exit 1
fi

# Unchecked: the sources of an image do not change, so Python need not look at them.
"$python" -m compileall -q -j 0 --invalidation-mode unchecked-hash "$2/lib" || true
