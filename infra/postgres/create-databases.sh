#!/bin/sh
# Runs once, when the PostgreSQL container's data folder is empty: a role and a database for each service, each
# service's role enters its own database and no other.
set -eu
for service in billing paywall ads metrics identity; do
  password_variable=$(printf '%s_DATABASE_PASSWORD' "$service" | tr '[:lower:]' '[:upper:]')
  password=$(printenv "$password_variable")
  psql -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres \
    -v service="$service" -v password="$password" <<'SQL'
CREATE ROLE :"service" LOGIN PASSWORD :'password';
CREATE DATABASE :"service" OWNER :"service";
REVOKE CONNECT ON DATABASE :"service" FROM PUBLIC;
SQL
done
# Grafana reads the reporting views of the metrics layer and nothing else; the layer's migrations grant them.
psql -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname metrics \
  -v password="$GRAFANA_DATABASE_PASSWORD" <<'SQL'
CREATE ROLE press_reporting LOGIN PASSWORD :'password';
GRANT CONNECT ON DATABASE metrics TO press_reporting;
ALTER ROLE press_reporting SET default_transaction_read_only = on;
SQL
