"""Connections to PostgreSQL: the most that all processes of the compose file may open, against what the server allows.

A process has an SQLAlchemy pool and, for what is hot, an asyncpg pool of the same size (``shared.database``); a worker also
listens. ``PROCESSES`` multiplies what a web container has.
"""

from __future__ import annotations

import re

from infra.compose.model import Project, Service

POOLS = 2  # SQLAlchemy's and asyncpg's
LISTENERS = 1
DEFAULT_POOL = 5
APPLIERS = 4  # billing's worker: a connection for each, and two more
GRAFANA = 10
PEOPLE = 15  # backups, psql, one-shots, migrations during an upgrade
RESERVED = 3  # superuser_reserved_connections
MAX_CONNECTIONS = re.compile(r"max_connections=(\d+)")


def connections(service: Service) -> int:
    """The most one container opens; 0 for what has no database."""
    if not service.ours or service.once or "DATABASE_URL" not in service.environment:
        return GRAFANA if service.name == "grafana" else 0
    pool = int(service.environment.get("DATABASE_POOL_SIZE") or DEFAULT_POOL)
    if service.name == "billing-worker":
        pool = max(pool, int(service.environment.get("APPLIERS") or APPLIERS) + 2)
    processes = int(service.environment.get("PROCESSES") or 1)
    return processes * (POOLS * pool + LISTENERS)


def wanted(project: Project) -> int:
    """Σ of all containers, with what people and the server itself need."""
    return sum(map(connections, project.services.values())) + PEOPLE + RESERVED


def allowed(project: Project) -> int:
    """``max_connections`` as the compose file starts the server."""
    found = MAX_CONNECTIONS.search(" ".join(project.services["postgres"].command))
    return int(found[1]) if found else 100
