#!/usr/bin/env bash
# install.sh REQUIREMENTS PREFIX: install exactly what REQUIREMENTS lists, each file checked against its hashes,
# and leave out what no job needs: the libraries' own tests, symbol tables, bytecode of what is never imported.
set -euo pipefail
requirements=$1 prefix=$2
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

echo "Installing $(grep -c == "$requirements") packages (a minute or two)"
"$prefix/bin/python" -m pip install -qq --no-deps --require-hashes -r "$requirements"

# The list is closed: only the multi-GPU half of xgboost, which the lock leaves out, may be missed.
if missed=$("$prefix/bin/python" -m pip check | grep -v -e 'requires nvidia-nccl-cu12' -e '^No broken requirements'); then
  echo "install: the lock does not go together: $missed" >&2
  exit 1
fi

packages=$("$prefix/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
for name in matplotlib numpy pandas pyarrow scipy sklearn; do
  find "$packages/$name" -type d -name tests -prune -exec rm -r {} +
done
"$prefix/bin/python" "$here/slim.py" "$packages"
