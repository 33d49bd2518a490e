"""What billing tells Prometheus about its own running (names and meanings: ``docs/metrics.md``)."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import event

from shared.database import Session
from shared.telemetry.families import Counter, Measured

WEBHOOKS = Counter(
    "press_billing_webhooks_total",
    "Webhook events by type and outcome: stored, duplicate, refused, ignored, handled, retried, parked, swept",
    ["type", "outcome"],
)
INBOX_WAITING = Measured("press_billing_inbox_waiting", "Webhook events not yet applied")
INBOX_AGE = Measured(
    "press_billing_inbox_age_seconds", "Age of the oldest webhook event not yet applied"
)
INBOX_PARKED = Measured("press_billing_inbox_parked", "Webhook events that were given up")
SWEEP_AGE = Measured(
    "press_billing_sweep_age_seconds", "Seconds since the provider's list of events was last read"
)
FOREIGN_ENDPOINTS = Measured(
    "press_billing_foreign_webhook_endpoints",
    "Webhook endpoints at the provider whose events are of another API version",
)
JOURNAL_ENTRIES = Counter("press_billing_journal_entries_total", "Journal entries posted", ["kind"])
PAYMENTS = Counter("press_billing_payments_total", "Payments applied", ["agency", "outcome"])
BUNDLE_USES = Counter(
    "press_billing_bundle_uses_total", "Articles that readers opened by a bundle", ["agency"]
)
SIGN_INS = Counter("press_billing_sign_ins_total", "Sign-in steps", ["outcome"])
TEXTS = Counter(
    "press_billing_texts_total",
    "Text messages with codes, by outcome: sent, failed, limited (the agency's measure of a day is reached)",
    ["agency", "outcome"],
)
LEDGER_IMBALANCE = Measured(
    "press_ledger_imbalance_vnd",
    "Sum of the absolute imbalances of entries; anything but 0 is an alarm",
    ["agency"],
)
INVARIANT_AGE = Measured(
    "press_billing_invariant_age_seconds",
    "How long ago an invariant was read, by reading: changes, whole (everything)",
    ["invariant", "reading"],
)
INVARIANT_FAILED = Measured(
    "press_billing_invariant_failed",
    "1 while the last reading of an invariant, of changes or of everything, did not go through",
    ["invariant"],
)
INVARIANT_FAILURES = Counter(
    "press_billing_invariant_failures_total",
    "Readings of an invariant that did not go through, by reason: timeout, error",
    ["invariant", "reason"],
)
LETTERS = Counter(
    "press_billing_letters_total",
    "Letters to readers that were taken up, by outcome: sent, dropped, retried, away, given_up",
    ["kind", "outcome"],
)
LETTERS_WAITING = Measured("press_billing_letters_waiting", "Letters that are due and not sent")
LETTERS_AGE = Measured(
    "press_billing_letters_age_seconds", "How long the oldest letter that is not sent has been due"
)
LETTERS_GIVEN_UP = Measured(
    "press_billing_letters_given_up", "Letters that nobody took for three days"
)
EXCEPTIONS = Measured(
    "press_billing_exceptions",
    "What waits for finance, by kind: refund (failed), credit (given back although a plan was changed for it), dispute (open), unclaimed, foreign (in another currency), payout (does not match), payout_line, moved (from another system)",
    ["agency", "kind"],
)
NETWORKS_WAITING = Measured(
    "press_billing_networks_waiting",
    "Ranges of addresses of companies and schools that wait for staff to approve or refuse them",
    ["agency"],
)
CREDITS_WAITING = Measured(
    "press_billing_bank_credits_waiting_vnd",
    "Bank transfers that are no order's yet: their sum in đồng",
    ["agency"],
)
CREDITS_AGE = Measured(
    "press_billing_bank_credits_waiting_seconds",
    "Age of the oldest bank transfer that is no order's yet",
    ["agency"],
)
MRR = Measured(
    "press_billing_mrr_vnd",
    "Monthly recurring revenue of running subscriptions in đồng, net of VAT",
    ["agency"],
)
MRR_ENDING = Measured(
    "press_billing_mrr_ending_vnd",
    "Of the monthly recurring revenue what will not renew, in đồng",
    ["agency"],
)
ACTIVE_PAID_READERS = Measured(
    "press_billing_active_paid_readers",
    "Readers with a paid period or pass that runs and was not given back; trials are not counted",
    ["agency"],
)


def after_commit(session: Session, count: Callable[[], None]) -> None:
    """Count what the session's transaction did once it is committed: what is rolled back and done again is counted once."""
    event.listen(session.sync_session, "after_commit", lambda _: count(), once=True)
