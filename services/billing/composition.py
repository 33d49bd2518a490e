"""The parts of billing, put together once for the web process, the worker and the commands."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from services.billing import models as _models  # noqa: F401 - foreign keys need every table
from services.billing.account.service import Accounts
from services.billing.addresses.service import Addresses
from services.billing.batches.service import Batches
from services.billing.bundles.service import Bundles
from services.billing.charges.service import Charges
from services.billing.charges.told import handler as told_by
from services.billing.contributions.service import Contributions
from services.billing.coupons.service import Coupons
from services.billing.desk.service import Desk
from services.billing.exceptions.service import Exceptions
from services.billing.gifts.service import Gifts
from services.billing.given.service import Given
from services.billing.insight.service import Insight
from services.billing.invariants.service import Invariants
from services.billing.invoices.service import Invoices
from services.billing.ledger.service import Ledger
from services.billing.letters.links import Links
from services.billing.letters.service import Letters
from services.billing.moving.service import Moving
from services.billing.mydata.erasing import Erasing
from services.billing.mydata.service import MyData
from services.billing.networks.service import Networks
from services.billing.offers.service import Offers
from services.billing.offers.students import Students
from services.billing.orders.service import Orders
from services.billing.passwords.entering import PasswordSignIn
from services.billing.passwords.service import Passwords
from services.billing.payments.adapters.port import PaymentProvider
from services.billing.payments.adapters.stripe import StripeProvider
from services.billing.payments.receipts import Receipts
from services.billing.payments.service import Payments
from services.billing.phones.service import Phones
from services.billing.phones.texting import Texting
from services.billing.plans.service import Plans
from services.billing.readers.service import Readers
from services.billing.recognition.service import Recognition
from services.billing.refunds.sending import SentRefunds
from services.billing.refunds.service import Refunds
from services.billing.renewals.changes import Changes
from services.billing.renewals.service import Renewals
from services.billing.renewals.wishes import Wishes
from services.billing.seats.domains import SeatDomains
from services.billing.seats.service import Seats
from services.billing.settings import BillingSettings
from services.billing.settlements.service import Settlements
from services.billing.sign_in.service import SignIn
from services.billing.statements.service import Statements
from services.billing.subscriptions.service import Subscriptions
from services.billing.transfers.notified import handlers
from services.billing.transfers.service import Transfers
from services.billing.webhooks.service import Applier, Inbox, Webhooks
from shared.auth import SigningKeySet
from shared.auth.key_files import make_key_file
from shared.clock import Clock
from shared.database import Database
from shared.mail import MailSender, mail_sender
from shared.passwords.hasher import Argon2Hasher
from shared.passwords.strength import Zxcvbn
from shared.process import Process
from shared.texts import text_sender

ISSUER = "press-billing"
Check = Callable[[], Awaitable[None]]


@dataclass(slots=True)
class Billing:
    """Everything a process of billing may need."""

    process: Process[BillingSettings]
    provider: PaymentProvider
    readers: Readers
    accounts: Accounts
    sign_in: SignIn
    addresses: Addresses
    passwords: Passwords
    password_sign_in: PasswordSignIn
    phones: Phones
    plans: Plans
    subscriptions: Subscriptions
    payments: Payments
    receipts: Receipts
    invoices: Invoices
    charges: Charges
    renewals: Renewals
    wishes: Wishes
    changes: Changes
    moving: Moving
    coupons: Coupons
    offers: Offers
    students: Students
    orders: Orders
    transfers: Transfers
    links: Links
    letters: Letters
    statements: Statements
    desk: Desk
    refunds: Refunds
    sent_refunds: SentRefunds
    settlements: Settlements
    exceptions: Exceptions
    insight: Insight
    given: Given
    gifts: Gifts
    bundles: Bundles
    contributions: Contributions
    seats: Seats
    seat_domains: SeatDomains
    networks: Networks
    my_data: MyData
    erasing: Erasing
    ledger: Ledger
    recognition: Recognition
    inbox: Inbox
    applier: Applier
    webhooks: Webhooks
    invariants: Invariants

    async def close(self) -> None:
        """What is billing's own; the process closes the rest."""
        await self.inbox.close()
        await self.provider.close()

    @property
    def settings(self) -> BillingSettings:
        return self.process.settings

    @property
    def database(self) -> Database:
        return self.process.database

    @property
    def clock(self) -> Clock:
        return self.process.clock


def build(process: Process[BillingSettings], *, provider: PaymentProvider | None = None) -> Billing:
    """``provider`` is given by tests only."""
    settings, database, clock = process.settings, process.database, process.clock
    provider = provider or provider_of(settings)
    mail, hasher = mail_sender(settings, database, clock), hasher_of(settings)
    texting = Texting(text_sender(settings, database, clock), a_day=settings.texts_per_day)
    readers, sign_in = people(settings, database, clock, mail, texting)
    plans, links = Plans(database, clock), Links(settings.letter_secret)
    transfers, orders = Transfers(database, clock), Orders(database, clock, plans)
    letters = Letters(database, clock, mail, links, public_url=settings.billing_url)
    return Billing(
        process=process,
        provider=provider,
        readers=readers,
        accounts=Accounts(database, clock),
        sign_in=sign_in,
        addresses=Addresses(database, clock, mail, secret=settings.code_secret),
        passwords=Passwords(database, clock, mail, hasher, Zxcvbn(), secret=settings.code_secret),
        password_sign_in=PasswordSignIn(database, clock, readers, sign_in, hasher),
        phones=Phones(database, clock, mail, texting, secret=settings.code_secret),
        plans=plans,
        subscriptions=Subscriptions(database, clock),
        payments=Payments(database),
        receipts=Receipts(database, clock),
        invoices=Invoices(database),
        charges=Charges(database, clock, provider, public_url=settings.billing_url),
        renewals=Renewals(database, clock),
        wishes=Wishes(database, clock),
        changes=Changes(database, clock),
        moving=Moving(database, clock, provider),
        links=links,
        letters=letters,
        ledger=Ledger(database),
        recognition=Recognition(database, clock),
        coupons=Coupons(database, clock),
        offers=Offers(database, clock),
        students=Students(database, clock, mail, secret=settings.code_secret),
        orders=orders,
        transfers=transfers,
        statements=Statements(database, clock),
        desk=Desk(database, clock),
        refunds=Refunds(database, clock, approval_vnd=settings.refund_approval_vnd),
        sent_refunds=SentRefunds(database, clock, provider),
        settlements=Settlements(database, clock, provider),
        exceptions=Exceptions(database, clock),
        insight=Insight(database, clock),
        given=Given(database, clock, alone=settings.given_days_alone),
        gifts=Gifts(database, clock),
        bundles=Bundles(database, clock),
        contributions=Contributions(database, clock, plans, orders),
        seats=Seats(database, clock),
        seat_domains=SeatDomains(database, clock, mail, secret=settings.code_secret),
        networks=Networks(database, clock),
        my_data=MyData(database, clock, letters.subject),
        erasing=Erasing(database, clock, mail, secret=settings.code_secret),
        inbox=Inbox(database, clock),
        applier=_applier(process, provider, transfers),
        webhooks=Webhooks(database, clock, provider),
        invariants=Invariants(database, clock, whole_hour=settings.invariants_whole_hour),
    )


def _applier(
    process: Process[BillingSettings], provider: PaymentProvider, transfers: Transfers
) -> Applier:
    database, clock = process.database, process.clock
    return Applier(
        database,
        clock,
        {provider.name: told_by(provider, clock), **handlers(transfers)},
        max_attempts=process.settings.webhook_max_attempts,
        batch=Batches(database, clock, provider.name, provider).apply,
    )


def provider_of(settings: BillingSettings) -> PaymentProvider:
    """Stripe. Without a key every call is refused and nothing is sent: no card payments here."""
    return StripeProvider(
        settings.stripe_secret_key,
        api_base=settings.stripe_api_base,
        timeout_seconds=settings.stripe_timeout_seconds,
        max_retries=settings.stripe_max_retries,
    )


def hasher_of(settings: BillingSettings) -> Argon2Hasher:
    """For readers' passwords."""
    return Argon2Hasher(
        time_cost=settings.argon2_time_cost,
        memory_kib=settings.argon2_memory_kib,
        parallelism=settings.argon2_parallelism,
        concurrency=settings.password_concurrency,
    )


def people(
    settings: BillingSettings,
    database: Database,
    clock: Clock,
    mail: MailSender,
    texting: Texting,
) -> tuple[Readers, SignIn]:
    """Who readers are, and how they become known."""
    readers = Readers(
        database,
        clock,
        session_days=settings.session_days,
        session_max_days=settings.session_max_days,
        secret=settings.code_secret,
    )
    return readers, SignIn(database, clock, readers, mail, texting, secret=settings.code_secret)


def signing_keys(settings: BillingSettings) -> SigningKeySet:
    """The keys of reader tokens; on a developer's machine they are made once, where there are none."""
    path = settings.signing_keys_path
    if not settings.deployed and not path.exists():
        make_key_file(path)
    return SigningKeySet.from_file(ISSUER, str(path))
