#!/usr/bin/env bash
# Build the validator's, the debug and the webhook's image with whichever builder works here.
# docs/images.md describes the variables, all of them optional.
set -euo pipefail
cd "$(dirname "$0")/.."

version=$(sed -n 's/^version = "\(.*\)"$/\1/p' pyproject.toml)
registry=${REGISTRY:-model-validation}
tag=${TAG:-$version}
read -r -a flags <<<"${BUILD_FLAGS:-}"
if [[ -n ${BASE:-} ]]; then flags+=(--build-arg "BASE=$BASE"); fi
if [[ -n ${BUILDER:-} ]]; then flags+=(--build-arg "BUILDER=$BUILDER"); fi

engine=
for candidate in docker podman buildah; do
  if "$candidate" info >/dev/null 2>&1; then
    engine=$candidate
    break
  fi
done

# Times in the images are the commit's, so that one commit gives one image.
epoch=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
case $engine in
  docker) flags+=(--build-arg "SOURCE_DATE_EPOCH=$epoch") ;;
  podman | buildah) flags+=(--timestamp "$epoch") ;;
  *)
    echo "No image builder works here: install podman or buildah, or start Docker." >&2
    exit 1
    ;;
esac

build() { # DOCKERFILE TARGET NAME
  "$engine" build "${flags[@]}" --file "$1" --target "$2" --tag "$registry/$3" \
    --build-arg "VERSION=$version" \
    --build-arg "REVISION=$(git rev-parse HEAD 2>/dev/null || echo unknown)" .
  echo "$registry/$3"
}

build Dockerfile.validator validator "validator:$tag"
build Dockerfile.validator debug "validator:$tag-debug"
build Dockerfile.webhook webhook "webhook:$tag"
