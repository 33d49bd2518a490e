"""Every model of billing, imported once, so that its metadata is whole."""

from __future__ import annotations

from services.billing.addresses import models as addresses
from services.billing.bundles import models as bundles
from services.billing.charges import models as charges
from services.billing.coupons import models as coupons
from services.billing.gifts import models as gifts
from services.billing.given import models as given
from services.billing.invariants import models as invariants
from services.billing.invoices import models as invoices
from services.billing.ledger import models as ledger
from services.billing.letters import models as letters
from services.billing.mailboxes import models as mailboxes
from services.billing.moving import models as moving
from services.billing.mydata import models as mydata
from services.billing.networks import models as networks
from services.billing.offers import models as offers
from services.billing.orders import models as orders
from services.billing.passwords import models as passwords
from services.billing.payments import models as payments
from services.billing.phones import models as phones
from services.billing.plans import models as plans
from services.billing.readers import models as readers
from services.billing.recognition import models as recognition
from services.billing.refunds import models as refunds
from services.billing.seats import models as seats
from services.billing.settlements import models as settlements
from services.billing.sign_in import models as sign_in
from services.billing.statements import models as statements
from services.billing.subscriptions import models as subscriptions
from services.billing.tables import METADATA
from services.billing.transfers import models as transfers
from services.billing.webhooks import models as webhooks

__all__ = [
    "METADATA",
    "addresses",
    "bundles",
    "charges",
    "coupons",
    "gifts",
    "given",
    "invariants",
    "invoices",
    "ledger",
    "letters",
    "mailboxes",
    "moving",
    "mydata",
    "networks",
    "offers",
    "orders",
    "passwords",
    "payments",
    "phones",
    "plans",
    "readers",
    "recognition",
    "refunds",
    "seats",
    "settlements",
    "sign_in",
    "statements",
    "subscriptions",
    "transfers",
    "webhooks",
]
