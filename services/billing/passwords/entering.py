"""Signing in by a password.

Whatever the address is, and whether it has a password, the same is counted, read and computed: an argon2id hash is verified in any case.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.billing.passwords import repository, rules, tries
from services.billing.passwords.tries import Taken
from services.billing.readers import repository as readers_repository
from services.billing.readers.rules import hash_token
from services.billing.readers.service import Readers, SignedIn, Visitor
from services.billing.sign_in import repository as sign_in_repository
from services.billing.sign_in.service import SignIn
from services.billing.subscriptions.repository import lock_reader
from shared.clock import Clock
from shared.database import Database
from shared.errors import FieldError, InvalidInputError
from shared.mail.address import normalise_email
from shared.passwords.hasher import PasswordHasher


@dataclass(frozen=True, slots=True)
class _Proved:
    """The password that was right, of whom; ``rehashed``: it anew, where the parameters have changed."""

    reader_id: UUID
    password_id: UUID
    rehashed: str | None


class PasswordSignIn:
    """The use case of somebody who is not signed in."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        readers: Readers,
        sign_in: SignIn,
        hasher: PasswordHasher,
    ) -> None:
        self._database = database
        self._clock = clock
        self._readers = readers
        self._sign_in = sign_in
        self._hasher = hasher

    async def enter(
        self,
        agency: str,
        browser: str,
        email: str,
        password: str,
        visitor: Visitor,
        *,
        replaces: str = "",
    ) -> SignedIn | None:
        """Sign in; None where address and password do not belong together. ``replaces`` is the session this browser had until now, which
        ends.

        Raises :class:`InvalidInputError` for no address, :class:`PasswordBusyError`, :class:`NetworkBusyError`, and
        ``UnavailableError`` while too many passwords are checked.
        """
        address = normalise_email(email)
        if address is None:
            raise InvalidInputError(
                errors=(FieldError("email", "not an e-mail address", "name@example.vn"),)
            )
        now, held = self._clock.now(), hash_token(browser)
        await self._sign_in.wait_turn(agency, address, held, visitor.network, now)
        taken = await self._take(agency, address, held, visitor.network, now)
        proved = await self._prove(agency, address, rules.normalised(password))
        if proved is None:
            return None
        async with self._database.transaction() as session:
            await lock_reader(session, proved.reader_id)
            kept = await repository.of_reader(session, proved.reader_id)
            reader = await readers_repository.by_id(session, agency, proved.reader_id)
            # Chosen anew, removed, or the address was changed, while it was verified.
            if kept is None or kept.id != proved.password_id:
                return None
            if reader is None or reader.email != address:
                return None
            if proved.rehashed is not None:
                kept.password_hash = proved.rehashed
            await tries.give_back(session, taken)
            return await self._readers.let_in(
                session, reader, visitor, browser=held, replaces=replaces
            )

    async def _take(
        self, agency: str, address: str, browser: bytes, network: str, now: datetime
    ) -> Taken:
        async with self._database.transaction() as session:
            known = await sign_in_repository.is_known(session, agency, address, browser)
            asker = browser.hex() if known else network
            return await tries.take(session, agency, address, asker, now, known=known)

    async def _prove(self, agency: str, address: str, password: str) -> _Proved | None:
        async with self._database.read() as session:
            row = await repository.of_address(session, agency, address)
        if not await self._hasher.verify(row.password_hash if row else None, password):
            return None
        assert row is not None  # nobody's password is never right
        old = self._hasher.needs_rehash(row.password_hash)
        rehashed = await self._hasher.hash(password) if old else None
        return _Proved(row.reader_id, row.id, rehashed)
