#!/usr/bin/env bash
# Score in the container; where no container engine answers, say so and do the same in .venv.
# The knobs come from the Makefile: RUNNER, DOCKER, IMAGE, DEPLOYMENT, INPUT, MODEL, OUTPUT, SCORE_FLAGS.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() {
  echo "local-score: $*" >&2
  exit 2
}

read -ra flags <<<"$SCORE_FLAGS"
command=(.venv/bin/batchtwin score "$DEPLOYMENT" --input "$INPUT" --model "$MODEL")
if [[ -n $OUTPUT ]]; then
  command+=(--output "$OUTPUT")
fi
command+=(${flags[@]+"${flags[@]}"})

case $RUNNER in
  docker | "")
    if "$DOCKER" info >/dev/null 2>&1; then
      docker/build.sh --quiet
      command+=(--image "$IMAGE" --engine "$DOCKER")
    elif [[ -n $RUNNER ]]; then
      fail "no container engine answers ($DOCKER info); start one, or score in .venv: RUNNER=venv"
    else
      echo "No container engine answers ($DOCKER info): scoring in .venv instead." >&2
    fi
    ;;
  venv) ;;
  *) fail "RUNNER=$RUNNER: choose docker or venv, or leave it out" ;;
esac

exec "${command[@]}"
