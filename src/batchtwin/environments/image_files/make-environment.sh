#!/bin/sh
# Make /opt/env, in the build of an image, from what lies beside this file:
#   python.txt        the Python, as uv writes it (3.8, >=3.9)
#   conda.yaml        the conda file without its pip section
#   conda.txt         what conda alone can bring; empty where a venv will do
#   from-conda.txt    packages of the conda file under their names on PyPI, for a venv
#   requirements.txt  the pip section
#   overrides.txt     what is not installed although a package asks for it
#   no-build          there unless source packages may be built
#   skops_startup.py  keeps a list that skops otherwise makes in each process
#   uv                the program, where the machine that builds has one for Linux
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cd "$here"
python=$(cat python.txt)
mkdir -p /opt/python

fail() {
  echo "make-environment: $*" >&2
  exit 1
}

# uv that was brought may be for another processor or C library: then pip installs the right one.
uv=$here/uv
if ! "$uv" --version >/dev/null 2>&1; then
  pip=$(command -v python3 || command -v python) || fail "the base image has neither Python nor a uv that runs; choose another image in environment.image"
  "$pip" -m pip install -qq --only-binary :all: --target "$here/packages" uv || fail "uv cannot be installed in the base image; see above"
  uv=$here/packages/bin/uv
fi

# uv does not read pip's settings: a mirror that the base image, or the secret pip.conf, sets for pip serves here too.
settings=$({ python3 -m pip config list || python -m pip config list; } 2>/dev/null || true)
setting() {
  printf '%s\n' "$settings" | sed -nE "s/^(:env:|global|install)\.$1='(.*)'\$/\2/p" | tail -n 1 | sed 's/\\n/ /g'
}
index=$(setting index-url) more=$(setting extra-index-url) links=$(setting find-links | tr ' ' ,) cert=$(setting cert)
if [ -n "$index" ]; then export UV_DEFAULT_INDEX="${UV_DEFAULT_INDEX:-$index}"; fi
if [ -n "$more" ]; then export UV_INDEX="${UV_INDEX:-$more}"; fi
if [ -n "$links" ]; then export UV_FIND_LINKS="${UV_FIND_LINKS:-$links}"; fi
if [ -n "$cert" ]; then export SSL_CERT_FILE="${SSL_CERT_FILE:-$cert}"; fi
export UV_INDEX_STRATEGY="${UV_INDEX_STRATEGY:-unsafe-best-match}" UV_LINK_MODE=copy UV_PYTHON_INSTALL_DIR=/opt/python

conda=
for name in micromamba mamba conda; do
  if command -v "$name" >/dev/null; then conda=$name; fi
done
case $conda in
  micromamba)
    echo "Making the environment with micromamba, Python $python"
    micromamba create --yes --quiet --prefix /opt/env --file conda.yaml
    ;;
  "")
    if [ -s conda.txt ]; then
      fail "$(paste -sd ' ' conda.txt): only conda installs these, and the base image has none; choose one with conda in environment.image, or name their packages of PyPI in the pip section"
    fi
    cat from-conda.txt >>requirements.txt
    echo "Making the environment with uv, Python $python"
    "$uv" venv --quiet --python "$python" /opt/env || fail "Python $python: neither in the base image, nor can uv install it; choose an image that has it in environment.image"
    ;;
  *)
    echo "Making the environment with $conda, Python $python"
    "$conda" env create --quiet --prefix /opt/env --file conda.yaml
    ;;
esac

build=--no-build
if [ ! -e no-build ]; then build=; fi
echo "Installing $(grep -c . requirements.txt || true) requirements and what they need"
if ! "$uv" pip install --quiet $build --python /opt/env/bin/python --overrides overrides.txt -r requirements.txt; then
  if [ -n "$build" ]; then echo "make-environment: only wheels are installed; --allow-builds also builds source packages, which runs their code in this build" >&2; fi
  exit 1
fi

echo "Compiling what jobs import"
# Not every environment has all of these. An import without bytecode takes twice as long.
env -u PYTHONDONTWRITEBYTECODE HOME=/tmp /opt/env/bin/python -W ignore -c '
import importlib
for name in ("mlflow.pyfunc", "mlflow.sklearn", "numpy", "pandas", "pyarrow.parquet", "PIL.Image", "skops.io", "xgboost"):
    try:
        importlib.import_module(name)
    except Exception:
        pass
'
/opt/env/bin/python -W ignore skops_startup.py || true
