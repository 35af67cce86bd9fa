#!/usr/bin/env bash
# clean.sh PATH...: remove these and the bytecode of the source tree; print each that was there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
count=0
for path in "$@"; do
  if [[ -e $path || -L $path ]]; then
    rm -rf -- "$path"
    echo "removed $path"
    count=$((count + 1))
  fi
done
caches=$(find . \( -name .git -o -name '.venv*' \) -prune -o -name __pycache__ -prune -print | wc -l)
if ((caches)); then
  find . \( -name .git -o -name '.venv*' \) -prune -o -name __pycache__ -prune -exec rm -rf {} +
  echo "removed $caches folders __pycache__"
elif ((count == 0)); then
  echo "nothing to remove"
fi
