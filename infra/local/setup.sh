#!/usr/bin/env bash
# Creates .venv with everything pinned by hash, and fetches the web assets. Safe to repeat.
set -euo pipefail
cd "$(dirname "$0")/../.."

say() { printf '%s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

find_python() {
  local candidate
  for candidate in "${PYTHON:-python3}" python3.14 python3.13 python3.12 python3.11; do
    if command -v "$candidate" >/dev/null &&
      "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  fail "Python 3.11 or newer is needed (Debian: apt-get install python3 python3-venv), or set PYTHON=/path/to/python"
}

if ! .venv/bin/python -c '' 2>/dev/null; then
  python=$(find_python)
  say "• environment: .venv with $("$python" --version)"
  rm -rf .venv
  "$python" -m venv .venv 2>/dev/null ||
    fail "$python cannot create environments (Debian: apt-get install python3-venv)"
fi

export PIP_DISABLE_PIP_VERSION_CHECK=1
say "• packages: requirements-dev.txt, by hash"
tools=.local/tools
with_uv() {
  if ! "$tools/bin/uv" --version >/dev/null 2>&1; then
    rm -rf "$tools"
    .venv/bin/python -m pip install --quiet --require-hashes --target "$tools" \
      -r requirements-bootstrap.txt || return 1
  fi
  "$tools/bin/uv" pip sync --quiet --python .venv/bin/python --require-hashes requirements-dev.txt
}
if ! with_uv; then
  say "• uv could not do it; pip takes over"
  .venv/bin/python -m pip install --quiet --require-hashes -r requirements-dev.txt
fi

say "• web assets"
.venv/bin/python -m infra.local.assets
