#!/usr/bin/env bash
# build.sh [--quiet]: build $IMAGE on $BASE_IMAGE with $DOCKER and $DOCKER_BUILD_FLAGS, as the Makefile sets them.
# --quiet shows only what is really done, and nothing at all when all of it is done already.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export DOCKER_BUILDKIT=1
: "${IMAGE:?call this as: make image}" "${BASE_IMAGE:?call this as: make image}"

.venv/bin/python scripts/lock.py image
version=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
read -ra flags <<<"${DOCKER_BUILD_FLAGS:-}"
build=("${DOCKER:-docker}" build ${flags[@]+"${flags[@]}"} --file docker/Dockerfile --tag "$IMAGE"
  --build-arg "BASE_IMAGE=$BASE_IMAGE" --build-arg "VERSION=$version" .)

if [[ ${1:-} != --quiet ]]; then
  exec "${build[@]}"
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
# BuildKit's plain log: `#12 3.456 text` is what a step prints; steps from the cache print nothing.
said='^#[0-9]+ [0-9]+\.[0-9]+ (.*)'
show() {
  while IFS= read -r line; do
    if [[ $line =~ $said ]]; then echo "image: ${BASH_REMATCH[1]}"; fi
  done
}
if ! BUILDKIT_PROGRESS=plain "${build[@]}" 2>&1 | tee "$log" | show; then
  cat "$log" >&2
  echo "image: $IMAGE could not be built; see above" >&2
  exit 1
fi
