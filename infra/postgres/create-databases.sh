#!/bin/sh
# Runs once, when the PostgreSQL container's data folder is empty: for each service a database and two roles. The owner
# runs the migrations; the service runs as the other, which owns nothing, enters its own database and no other, and may
# do what the migrations grant to its group press_runtime (shared/database/privileges.py).
set -eu
psql -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres -c 'CREATE ROLE press_runtime NOLOGIN'
for service in billing paywall ads metrics identity; do
  prefix=$(printf '%s' "$service" | tr '[:lower:]' '[:upper:]')
  psql -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres \
    -v service="$service" -v owner="${service}_owner" \
    -v password="$(printenv "${prefix}_DATABASE_PASSWORD")" \
    -v owner_password="$(printenv "${prefix}_DATABASE_OWNER_PASSWORD")" <<'SQL'
CREATE ROLE :"service" LOGIN PASSWORD :'password';
CREATE ROLE :"owner" LOGIN PASSWORD :'owner_password';
CREATE DATABASE :"service" OWNER :"owner";
REVOKE ALL ON DATABASE :"service" FROM PUBLIC, :"service";
GRANT CONNECT ON DATABASE :"service" TO :"service";
GRANT press_runtime TO :"service";
SQL
done
# Only the paywall's rebuild needs temporary tables; whoever may make some may put one before a table that a trigger reads.
psql -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres -c 'GRANT TEMPORARY ON DATABASE paywall TO paywall'
# Grafana reads the reporting views of the metrics layer and nothing else; the layer's migrations grant them.
psql -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname metrics \
  -v password="$GRAFANA_DATABASE_PASSWORD" <<'SQL'
CREATE ROLE press_reporting LOGIN PASSWORD :'password';
GRANT CONNECT ON DATABASE metrics TO press_reporting;
ALTER ROLE press_reporting SET default_transaction_read_only = on;
SQL
