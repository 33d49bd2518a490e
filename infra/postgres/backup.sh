#!/usr/bin/env bash
# Every database into /backups/<time>, each as pg_dump's custom format; the folder gets its name only when all are written,
# and nothing stays of a backup that fails.
set -euo pipefail
umask 077
backups=${1:-/backups}
name=$(date -u +%Y%m%dT%H%M%SZ)
draft="$backups/.$name"
mkdir "$draft"
trap 'rm -rf "$draft"' EXIT
for database in billing paywall ads metrics identity; do
  pg_dump --format=custom --file="$draft/$database.dump" "$database"
done
pg_dumpall --roles-only --no-role-passwords --file="$draft/roles.sql"
mv -T "$draft" "$backups/$name"
echo "backups/$name"
