#!/bin/sh
# Runs its arguments with a Python that the kit supports: the newest of 3.14, 3.13, 3.12 and 3.11 that starts.
for python in python3.14 python3.13 python3.12 python3.11 python3 python; do
    # A name may be a launcher (pyenv, Windows) that starts nothing: only a Python that answers counts.
    if "$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' >/dev/null 2>&1; then
        exec "$python" "$@"
    fi
done
if command -v uv >/dev/null 2>&1; then
    echo "No Python 3.11 to 3.14 on the PATH: uv fetches one." >&2
    exec uv run --no-project --python '>=3.11,<3.15' "$@"
fi
found=$(python3 --version 2>&1) || found="no Python at all"
echo "The kit needs Python 3.11 to 3.14 on the PATH; found: $found." >&2
echo "Install one (Debian, Ubuntu: apt install python3 python3-venv; macOS: brew install python@3.14), then try again." >&2
exit 1
