#!/usr/bin/env bash
# clean-images.sh IMAGE: remove this image, and those that `batchtwin image` built; print each. Without an engine: nothing.
set -euo pipefail
docker=${DOCKER:-docker}
# `batchtwin image` gives each the name batchtwin, its content's hash as tag, and this title.
title='org.opencontainers.image.title=environment of a batch deployment'
built=$("$docker" image ls --filter "label=$title" --filter 'reference=batchtwin' --format '{{.Repository}}:{{.Tag}}' 2>/dev/null || true)
for image in "$@" $built; do
  if "$docker" image inspect "$image" >/dev/null 2>&1; then
    if "$docker" image rm "$image" >/dev/null; then echo "removed image $image"; fi
  fi
done
