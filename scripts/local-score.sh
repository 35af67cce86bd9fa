#!/usr/bin/env bash
# Score in the container; where no engine answers, or it cannot build, say so and do the same in .venv.
# The knobs come from the Makefile: RUNNER, DOCKER, IMAGE, DEPLOYMENT, INPUT, MODEL, OUTPUT, SCORE_FLAGS.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() {
  echo "local-score: $*" >&2
  exit 2
}

# The engine, for a limited time: a daemon that is stuck answers nothing, and never says so.
engine() {
  if command -v timeout >/dev/null; then timeout --kill-after=1 "${ENGINE_SECONDS:-30}" "$DOCKER" "$@"; else "$DOCKER" "$@"; fi
}

# The Dockerfile needs BuildKit, which docker 23 and later have only as the plugin buildx: an empty image shows.
can_build() {
  local id
  id=$(printf 'FROM scratch\nLABEL batchtwin.probe=1\n' | DOCKER_BUILDKIT=1 engine build --quiet - 2>/dev/null) || return 1
  "$DOCKER" image rm "$id" >/dev/null 2>&1 || true
}

read -ra flags <<<"$SCORE_FLAGS"
command=(.venv/bin/batchtwin score "$DEPLOYMENT" --input "$INPUT" --model "$MODEL")
if [[ -n $OUTPUT ]]; then
  command+=(--output "$OUTPUT")
fi
command+=(${flags[@]+"${flags[@]}"})

case $RUNNER in
  docker | "")
    if ! engine info >/dev/null 2>&1; then
      reason="no container engine answers ($DOCKER info)" advice="start one"
    elif ! can_build; then
      reason="the container engine cannot build images" advice="install BuildKit ($DOCKER buildx version)"
    fi
    if [[ -z ${reason:-} ]]; then
      docker/build.sh --quiet
      command+=(--image "$IMAGE" --engine "$DOCKER")
    elif [[ -n $RUNNER ]]; then
      fail "$reason; $advice, or score in .venv: RUNNER=venv"
    else
      echo "${reason^}: scoring in .venv instead." >&2
    fi
    ;;
  venv) ;;
  *) fail "RUNNER=$RUNNER: choose docker or venv, or leave it out" ;;
esac

exec "${command[@]}"
