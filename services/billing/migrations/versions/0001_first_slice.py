"""The first slice: readers, plans, subscriptions, payments, ledger, webhook inbox.

Plain SQL, so that a later change of the models never changes history.
"""

from pathlib import Path

from shared import agencies, audit, inbox, outbox
from shared.database.migrations import run_script
from shared.database.privileges import REFUSE_CHANGE_V1, append_only, kept
from shared.mail import outbox as mail

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

PARTS = (
    "readers",
    "addresses",
    "phones",
    "plans",
    "coupons",
    "passwords",
    "offers",
    "orders",
    "given",
    "bundles",
    "subscriptions",
    "seats",
    "networks",
    "ledger",
    "payments",
    "moving",
    "invoices",
    "recognition",
    "gifts",
    "transfers",
    "refunds",
    "returns",
    "settlements",
    "webhooks",
    "letters",
    "erasure",
    "invariants",
)
#: What has happened stays as it was.
APPEND_ONLY = (
    "journal_entry",
    "journal_line",
    "invoice",
    "invoice_line",
    "subscription_transition",
    "mrr_movement",
    "bank_notice",
    "credit_use",
    "bank_payout",
    "payout_line",
    "payout_part",
    "exception_done",
    "given_days",
    "given_days_ended",
    "bundle",
    "bundle_use",
)
#: What money stands on may change its state, and never goes.
KEPT = (
    "consent",
    "plan_price",
    "coupon",
    "price_offer",
    "sales_order",
    "gift",
    "bank_account",
    "bank_credit",
    "refund_request",
    "mandate",
    "charge",
    "payment",
    "refund",
    "provider_refund",
    "dispute",
    "foreign_money",
    "payout",
    "payout_share",
    "invoice_series",
    "subscription",
    "moved_subscription",
    "entitlement",
    "seat",
    "seat_invitation",
    "seat_network",
    "seat_network_told",
    "books",
    "account_day",
    "recognition_schedule",
    "recognition_day",
)


def upgrade() -> None:
    run_script(
        REFUSE_CHANGE_V1,
        agencies.SCHEMA_V1,
        audit.SCHEMA_V1,
        inbox.SCHEMA_V1,
        outbox.SCHEMA_V1,
        mail.SCHEMA_V1,
    )
    for part in PARTS:
        run_script((Path(__file__).parent / f"0001_{part}.sql").read_text(encoding="utf-8"))
    run_script(append_only(*APPEND_ONLY), kept(*KEPT))


def downgrade() -> None:
    raise RuntimeError("the first revision has nothing before it: drop the database instead")
