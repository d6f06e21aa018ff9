#!/bin/sh
# Builds wheel, book and browser edition from a fresh clone of what is committed, and tries each where the checkout is not.
set -eu
cd "$(dirname "$0")/.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
git clone --quiet . "$folder/clone"
cd "$folder/clone"
version=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
grep -q "^## ${version%.dev*} " CHANGELOG.md || { echo "CHANGELOG.md says nothing of version $version."; exit 1; }
make site
node lab-setup/browser/check.mjs build/site/browser notebooks/*.ipynb
python=$(pwd)/.venv/bin/python
"$python" -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir "$folder/wheel" .
"$python" -m venv "$folder/installed"
"$folder/installed/bin/python" -m pip install --quiet "$folder"/wheel/*.whl
cd "$folder"
installed/bin/python -m kitlib notebooks course
installed/bin/python -m kitlib follow www.example.com
installed/bin/python -m kitlib doctor
echo "Wheel, book and browser edition of $version are in order."
