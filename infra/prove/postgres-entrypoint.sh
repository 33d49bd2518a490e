#!/bin/bash
# What the official postgres image does before its command: make the cluster once, set the password, run
# /docker-entrypoint-initdb.d in a server that listens on a socket only.
set -euo pipefail
export PATH=/opt/postgres/bin:$PATH LC_ALL=C.UTF-8 PGDATA=/var/lib/postgresql/data/pgdata POSTGRES_USER=postgres
export LD_LIBRARY_PATH=/opt/postgres/lib
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  printf '%s\n' "$POSTGRES_PASSWORD" >/tmp/password
  initdb -U postgres --encoding=UTF8 --locale-provider=builtin --locale=C.UTF-8 --pwfile=/tmp/password \
    --auth-local=trust --auth-host=scram-sha-256 >/dev/null
  rm /tmp/password
  echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
  pg_ctl -w -s -o "-c listen_addresses='' -c unix_socket_directories=/tmp" start
  for file in /docker-entrypoint-initdb.d/*.sh; do PGHOST=/tmp bash "$file"; done
  pg_ctl -w -s stop
fi
exec "$@" -c "listen_addresses=*" -c unix_socket_directories=/tmp
