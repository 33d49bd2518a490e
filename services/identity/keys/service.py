"""Service keys: create (shown once), recognise, rotate with an overlap, revoke."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.exc import IntegrityError

from services.identity.keys import repository, rules
from services.identity.keys.models import ServiceKey
from shared import audit
from shared.audit import Action, Actor
from shared.auth import KeyPrincipal, RefusedKey
from shared.clock import Clock
from shared.database import Database, Session
from shared.errors import ConflictError, FieldError, InvalidInputError, NotFoundError


@dataclass(frozen=True, slots=True)
class Issuer:
    """Who asks for the change; ``actor`` where no request says it."""

    account_id: UUID | None
    actor: Actor | None = None


def key_hash(key: str) -> bytes:
    """A fast hash is enough: the secret has 256 bits of its own."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def new_key() -> tuple[str, str]:
    """Id and whole key."""
    key_id = secrets.token_hex(6)
    return key_id, rules.compose(key_id, secrets.token_urlsafe(32))


async def store_key(
    session: Session,
    *,
    key: str,
    request_id: UUID,
    agency: str,
    name: str,
    scopes: list[str],
    now: datetime,
    issuer: Issuer,
    action: Action = Action.KEY_CREATED,
    replaces: str | None = None,
) -> ServiceKey:
    """Keep a key's hash in the caller's transaction, with its audit entry."""
    key_id = rules.key_id_of(key)
    if key_id is None:
        raise ValueError("a service key is prk_<id>_<secret>, its secret 32 characters or more")
    row = ServiceKey(
        id=key_id,
        request_id=request_id,
        agency=agency,
        name=name,
        key_hash=key_hash(key),
        prefix=rules.display_prefix(key),
        scopes=scopes,
        created_at=now,
        created_by=issuer.account_id,
        replaces=replaces,
    )
    await repository.add(session, row)
    await audit.record(
        session,
        action,
        agency=agency,
        at=now,
        subject=f"key/{key_id}",
        label=name,
        before={"key": replaces} if replaces else None,
        after={"scopes": scopes},
        actor=issuer.actor,
    )
    return row


class KeyService:
    """Use cases about service keys."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def recognise(self, key: str) -> KeyPrincipal | RefusedKey:
        """Whose key this is, or which one it was. Its use is written at most once a minute."""
        key_id = rules.key_id_of(key)
        if key_id is None:
            return RefusedKey()
        now = self._clock.now()
        async with self._database.read() as session:
            row = await repository.by_id(session, key_id)
        if row is None or not hmac.compare_digest(row.key_hash, key_hash(key)):
            return RefusedKey()
        if rules.state_of(row.revoked_at, row.expires_at, now) is not rules.State.ACTIVE:
            return RefusedKey(row.id, row.agency)
        if rules.needs_use_written(row.last_used_at, now):
            async with self._database.transaction() as writing:
                await repository.write_use(writing, key_id, now)
        return KeyPrincipal(row.id, row.agency, frozenset(row.scopes))

    async def list(self, agency: str) -> Sequence[ServiceKey]:
        async with self._database.read() as session:
            return await repository.of_agency(session, agency)

    async def create(
        self, agency: str, name: str, scopes: Sequence[str], request_id: UUID, issuer: Issuer
    ) -> str:
        """The new key, shown this once. ``request_id`` makes a repeated form harmless.

        Raises :class:`InvalidInputError`, :class:`ConflictError`.
        """
        cleaned = " ".join(name.split())
        if not 1 <= len(cleaned) <= rules.NAME_MAX or not cleaned.isprintable():
            raise InvalidInputError(
                errors=(FieldError("name", "The name is missing or too long", "1–80 characters"),),
                slug="key-name",
            )
        known = rules.parse_scopes(scopes)
        if known is None:
            raise InvalidInputError(
                errors=(FieldError("scopes", "Choose what the key may do", "one or more scopes"),),
                slug="key-scopes",
            )
        _, key = new_key()
        try:
            async with self._database.transaction() as session:
                if await repository.count_working(session, agency) >= rules.KEYS_PER_AGENCY:
                    raise ConflictError("Revoke keys that are not used any more", slug="key-limit")
                await store_key(
                    session,
                    key=key,
                    request_id=request_id,
                    agency=agency,
                    name=cleaned,
                    scopes=known,
                    now=self._clock.now(),
                    issuer=issuer,
                )
        except IntegrityError as error:
            raise ConflictError("This form was sent before", slug="key-repeated") from error
        return key

    async def rotate(self, agency: str, key_id: str, request_id: UUID, issuer: Issuer) -> str:
        """A new key with the same name and scopes; the old one works for another 24 hours."""
        now = self._clock.now()
        _, key = new_key()
        try:
            async with self._database.transaction() as session:
                old = await self._lock(session, agency, key_id)
                if rules.state_of(old.revoked_at, old.expires_at, now) is not rules.State.ACTIVE:
                    raise ConflictError("This key does not work any more", slug="key-ended")
                overlap_ends = now + rules.ROTATION_OVERLAP
                old.expires_at = min(old.expires_at or overlap_ends, overlap_ends)
                await store_key(
                    session,
                    key=key,
                    request_id=request_id,
                    agency=agency,
                    name=old.name,
                    scopes=list(old.scopes),
                    now=now,
                    issuer=issuer,
                    action=Action.KEY_ROTATED,
                    replaces=old.id,
                )
        except IntegrityError as error:
            raise ConflictError("This form was sent before", slug="key-repeated") from error
        return key

    async def revoke(self, agency: str, key_id: str, issuer: Issuer) -> None:
        """At once, within the caches' bound. Repeating it changes nothing."""
        now = self._clock.now()
        async with self._database.transaction() as session:
            row = await self._lock(session, agency, key_id)
            if row.revoked_at is not None:
                return
            row.revoked_at = now
            await audit.record(
                session,
                Action.KEY_REVOKED,
                agency=agency,
                at=now,
                subject=f"key/{key_id}",
                label=row.name,
                before={"scopes": row.scopes},
            )

    async def _lock(self, session: Session, agency: str, key_id: str) -> ServiceKey:
        row = await repository.lock_of_agency(session, agency, key_id)
        if row is None:
            raise NotFoundError
        return row
