#!/usr/bin/env bash
# Install model-validator from this checkout into a new virtual environment, DIRECTORY: what the locks
# name, by its hashes. It needs Python 3.11 or newer with venv, and a package index.
set -euo pipefail
if [[ $# != 1 ]]; then
  echo "usage: install.sh DIRECTORY" >&2
  exit 2
fi
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# -I: without it, a venv.py of the folder that this is started in, the one to verify, would run here.
python3 -I -m venv "$1"
pip=("$1/bin/pip" --quiet --disable-pip-version-check install --no-deps)
"${pip[@]}" --require-hashes -r "$root/requirements/build.txt"
"${pip[@]}" --no-build-isolation "$root"
"${pip[@]}" --require-hashes -r "$root/requirements/validator.txt"
