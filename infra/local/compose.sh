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
docker compose "$@"
if [ "${1:-}" = up ]; then
  value() { sed -n "s/^$1=//p" .env | sed "s/^'\(.*\)'\$/\1/"; }
  if [ "$(value ENVIRONMENT)" = production ]; then
    # Mails an invitation, once: repeated, it does nothing.
    docker compose run --rm --no-deps identity-web python -m services.identity create-administrator \
      "$(value AGENCY)" "$(value ADMINISTRATOR)" "$(value ADMINISTRATOR)"
  fi
fi
