"""A request sent twice has one effect and one answer (``Idempotency-Key``).

The key is claimed in the transaction of the effect: a second request with the key waits for the first to commit, then
gets its answer; when the first rolled back, the second does the work.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from hashlib import sha256

from fastapi import Request, Response
from sqlalchemy import text

from shared.database import Database, Session
from shared.errors import BadRequestError, ConflictError

HEADER = "Idempotency-Key"
MAX_LENGTH = 200


@dataclass(frozen=True, slots=True)
class Answer:
    """What a use case wants said."""

    body: bytes
    status_code: int = 200
    headers: dict[str, str] = field(default_factory=dict)

    def response(self, **more: str) -> Response:
        return Response(
            self.body,
            self.status_code,
            self.headers | more,
            media_type="application/json",
        )


_CLAIM = text(
    """INSERT INTO idempotency_key (agency_id, key, fingerprint) VALUES (:agency, :key, :fingerprint)
       ON CONFLICT DO NOTHING RETURNING key"""
)
_FIND = text(
    """SELECT fingerprint, status_code, body, headers FROM idempotency_key
       WHERE agency_id = :agency AND key = :key"""
)
_KEEP = text(
    """UPDATE idempotency_key SET status_code = :status, body = :body, headers = :headers
       WHERE agency_id = :agency AND key = :key"""
)


async def once(
    database: Database,
    request: Request,
    agency: str,
    work: Callable[[Session], Awaitable[Answer]],
) -> Response:
    """Run ``work`` in one transaction; with a key, at most once. A key with another body is a 409."""
    key = request.headers.get(HEADER)
    if key is None:
        async with database.transaction() as session:
            answer = await work(session)
        return answer.response()
    if not 1 <= len(key) <= MAX_LENGTH or not key.isprintable():
        raise BadRequestError(f"{HEADER} has 1 to {MAX_LENGTH} printable characters")
    fingerprint = sha256(
        b"\n".join((request.method.encode(), request.url.path.encode(), await request.body()))
    ).digest()
    names = {"agency": agency, "key": key}
    async with database.transaction() as session:
        claimed = await session.execute(_CLAIM, names | {"fingerprint": fingerprint})
        if claimed.one_or_none() is None:
            kept = (await session.execute(_FIND, names)).one()
            if bytes(kept.fingerprint) != fingerprint:
                raise ConflictError(
                    "This Idempotency-Key was used for another request",
                    slug="idempotency-key-reused",
                )
            answer = Answer(bytes(kept.body), kept.status_code, json.loads(kept.headers))
            return answer.response(**{"Idempotent-Replay": "true"})
        answer = await work(session)
        await session.execute(
            _KEEP,
            names
            | {
                "status": answer.status_code,
                "body": answer.body,
                "headers": json.dumps(answer.headers),
            },
        )
    return answer.response()
