#!/usr/bin/env bash
# setup.sh [--bare] VENV LOCK...: make VENV, or bring it up to date. It then holds exactly what the locks list and, without
# --bare, this project as it stands in src. PYTHON makes it; uv installs: that of .venv, where pip installs it by its hash.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bare=
if [[ $1 == --bare ]]; then bare=1 && shift; fi
venv=$1 python=$1/bin/python
shift
locks=("$@")

say() { echo "$venv: $*" >&2; }

"${PYTHON:=python3}" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
  echo "make: $PYTHON is older than Python 3.11; name another: make PYTHON=python3.11" >&2
  exit 1
}
if ! "$python" -c '' 2>/dev/null; then
  say "making it with $("$PYTHON" --version)"
  "$PYTHON" -m venv --clear "$venv"
fi

uv=.venv/bin/uv
if [[ $venv == .venv && $("$uv" --version 2>/dev/null) != "uv $(sed -n 's/^uv==\([^ ]*\).*/\1/p' requirements.lock)"* ]]; then
  say "installing uv"
  sed -n '/^uv==/,/[^\\]$/p' requirements.lock >.venv/uv.txt
  "$python" -m pip install -qq --disable-pip-version-check --no-deps --only-binary :all: --require-hashes -r .venv/uv.txt
fi

# uv does not read pip's settings: a mirror that is set for pip serves here too.
settings=$(.venv/bin/python -m pip config list 2>/dev/null || true)
setting() { sed -nE "s/^(:env:|global|install)\.$1='(.*)'\$/\2/p" <<<"$settings" | tail -n 1; }
index=$(setting index-url) more=$(setting extra-index-url) links=$(setting find-links) cert=$(setting cert)
if [[ -n $index ]]; then export UV_DEFAULT_INDEX=${UV_DEFAULT_INDEX:-$index}; fi
if [[ -n $more ]]; then export UV_INDEX=${UV_INDEX:-${more//'\n'/ }}; fi
if [[ -n $links ]]; then export UV_FIND_LINKS=${UV_FIND_LINKS:-${links// /,}}; fi
if [[ -n $cert ]]; then export SSL_CERT_FILE=${SSL_CERT_FILE:-$cert}; fi

# As pip does; every file is checked against its hashes, wherever it comes from.
export UV_INDEX_STRATEGY=${UV_INDEX_STRATEGY:-unsafe-best-match}

# On a terminal uv shows its progress; elsewhere a line for each step has to do.
quiet=(--quiet)
if [[ -t 2 ]]; then quiet=(); fi
say "installing $(cat "${locks[@]}" | grep -c '^[[:alnum:]].*==') packages"
"$uv" pip sync ${quiet[@]+"${quiet[@]}"} --require-hashes --python "$python" "${locks[@]}"
if [[ -n $bare ]]; then exit; fi

"$uv" pip install --quiet --python "$python" --no-deps --no-build-isolation --editable .
say "compiling what jobs import"
unset PYTHONDONTWRITEBYTECODE
"$python" -m compileall -q src
"$python" -W ignore -c 'import jinja2, mlflow.pyfunc, mlflow.sklearn, pandas, pyarrow.parquet, rich.progress, sqlalchemy, typer, xgboost.sklearn'
"$python" -m batchtwin_node.driver.skops_startup
