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
  [ -f .env ] || { echo "there is no .env: cp .env.example .env and fill it in (docs/operations.md says how)" >&2; exit 1; }
  # Prometheus reads its token from a file. The folder is closed to others; the file inside is read by Prometheus' own user.
  install -d -m 0700 .secrets
  (umask 077 && sed -n 's/^SCRAPE_TOKEN=//p' .env | tr -d '\r\n' >.secrets/scrape_token)
  chmod 0644 .secrets/scrape_token
fi
exec docker compose "$@"
