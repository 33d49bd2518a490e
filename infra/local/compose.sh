#!/usr/bin/env bash
# Runs docker compose, or says in one line what is missing.
set -euo pipefail
cd "$(dirname "$0")/../.."
if ! command -v docker >/dev/null; then
  echo "docker is not installed; \`make run\` starts everything without it" >&2
  exit 1
fi
if ! docker compose version >/dev/null 2>&1; then
  echo "docker has no compose plugin (Debian: apt-get install docker-compose-plugin); \`make run\` needs no docker" >&2
  exit 1
fi
if [ "${1:-}" = up ]; then
  python3 -m infra.compose.configure ${DEMO:+--demo}
  docker compose build keys # the one image that all of our containers run
fi
exec docker compose "$@"
