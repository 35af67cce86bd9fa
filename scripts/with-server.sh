# shellcheck shell=bash
# with-server.sh, to be sourced in the project's folder: sets the variables by which the Azure SDK finds the workspace on
# this machine. A server that is not there is started, and ended with the script.
bin=$PWD/.venv/bin
if ! "$bin/batchtwin" env --check 2>/dev/null; then
  exec 3< <(exec "$bin/batchtwin" serve --port 0)
  server=$!
  trap 'kill "$server" 2>/dev/null || true' EXIT
  # The first line is said when it listens.
  read -r _ <&3 || { echo "${0##*/}: the server did not start" >&2; exit 1; }
fi
exports=$("$bin/batchtwin" env)
eval "$exports"
