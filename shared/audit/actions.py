"""What can stand in a trail. One vocabulary for all services, because a person reads them side by side."""

from __future__ import annotations

from enum import StrEnum


class Action(StrEnum):
    """What was done. Values never change once written: they are in chains that nobody may rewrite."""

    # Sign-in, accounts, keys
    SIGNED_IN = "signed-in"
    SIGN_IN_FAILED = "sign-in-failed"
    LOCKED_OUT = "locked-out"
    NETWORK_LIMITED = "network-limited"
    LOCK_CLEARED = "lock-cleared"
    SIGNED_OUT = "signed-out"
    SESSION_ENDED = "session-ended"
    PASSWORD_CHANGED = "password-changed"  # noqa: S105 (a name)
    PASSWORD_RESET = "password-reset"  # noqa: S105 (a name)
    PASSWORD_RESET_MAILED = "password-reset-mailed"  # noqa: S105 (a name)
    BREAK_GLASS = "break-glass"
    SIGN_IN_BEGUN = "sign-in-begun"
    CONFIRMED = "confirmed"
    FACTOR_ENROLLED = "factor-enrolled"
    FACTOR_REMOVED = "factor-removed"
    FACTOR_RESET = "factor-reset"
    RECOVERY_CODES_MADE = "recovery-codes-made"
    RECOVERY_CODE_USED = "recovery-code-used"
    SUBJECT_LINKED = "subject-linked"
    SUBJECT_UNLINKED = "subject-unlinked"
    INVITED = "invited"
    INVITATION_WITHDRAWN = "invitation-withdrawn"
    INVITATION_ACCEPTED = "invitation-accepted"
    ACCOUNT_CREATED = "account-created"
    ACCOUNT_DISABLED = "account-disabled"
    ACCOUNT_ENABLED = "account-enabled"
    ROLES_CHANGED = "roles-changed"
    KEY_CREATED = "key-created"
    KEY_ROTATED = "key-rotated"
    KEY_REVOKED = "key-revoked"
    # Paywall
    POLICY_CREATED = "policy-created"
    POLICY_CHANGED = "policy-changed"
    ENTITLEMENTS_REBUILT = "entitlements-rebuilt"
    # Subscriptions and payments
    PRODUCT_SAVED = "product-saved"
    PLAN_SAVED = "plan-saved"
    WEBHOOKS_REPLAYED = "webhooks-replayed"
    LETTERS_RETRIED = "letters-retried"
    LETTERS_DROPPED = "letters-dropped"
    PERIOD_CLOSED = "period-closed"
    CHECK_ASKED = "check-asked"
    BANK_ACCOUNT_SAVED = "bank-account-saved"
    SUBSCRIPTIONS_MOVED = "subscriptions-moved"
    CREDIT_ASSIGNED = "credit-assigned"
    CREDIT_RETURNED = "credit-returned"
    STATEMENT_IMPORTED = "statement-imported"
    COUPON_MADE = "coupon-made"
    COUPON_ENDED = "coupon-ended"
    OFFER_MADE = "offer-made"
    OFFER_ENDED = "offer-ended"
    REFUND_ASKED = "refund-asked"
    REFUND_APPROVED = "refund-approved"
    REFUND_REFUSED = "refund-refused"
    REFUND_PAID = "refund-paid"
    EXCEPTION_DONE = "exception-done"
    RENEWAL_ENDED = "renewal-ended"
    RENEWAL_RESUMED = "renewal-resumed"
    READER_SIGNED_OUT = "reader-signed-out"
    DAYS_GIVEN = "days-given"
    DAYS_ENDED = "days-ended"
    RECEIPT_RESENT = "receipt-resent"
    READER_ERASED = "reader-erased"
    NETWORK_APPROVED = "network-approved"
    NETWORK_REFUSED = "network-refused"
    NETWORK_ENDED = "network-ended"
    # Advertising
    ADVERTISER_CREATED = "advertiser-created"
    PLACEMENT_SAVED = "placement-saved"
    AD_PRODUCT_SAVED = "ad-product-saved"
    RATE_SET = "rate-set"
    ORDER_CREATED = "order-created"
    LINE_CHANGED = "line-changed"
    CREATIVE_CREATED = "creative-created"
    CREATIVE_CHANGED = "creative-changed"
    CREATIVE_IMAGE_CHANGED = "creative-image-changed"
    # Finance
    BASELINE_UPLOADED = "baseline-uploaded"
    BASELINE_COMPOSED = "baseline-composed"
    BASELINE_FROZEN = "baseline-frozen"
    BASELINE_DISCARDED = "baseline-discarded"
    LINEAGE_SAVED = "lineage-saved"
    TARGET_SAVED = "target-saved"
    IMPORT_UPLOADED = "import-uploaded"
    IMPORT_CONFIRMED = "import-confirmed"
    # Operations, and the trail itself
    AGENCY_SAVED = "agency-saved"
    COUNTERS_REBUILT = "counters-rebuilt"
    DEAD_LETTERS_REPLAYED = "dead-letters-replayed"
    OUTBOX_REPUBLISHED = "outbox-republished"
    OUTBOX_RETRIED = "outbox-retried"
    AUDIT_EXPORTED = "audit-exported"


#: In English; the Vietnamese is in ``locale/vi.po``. A test fails when an action has no words.
WORDS: dict[Action, str] = {
    Action.SIGNED_IN: "Signed in",
    Action.SIGN_IN_FAILED: "Sign-in failed",
    Action.LOCKED_OUT: "Locked out",
    Action.NETWORK_LIMITED: "Network limited",
    Action.LOCK_CLEARED: "Lock cleared",
    Action.SIGNED_OUT: "Signed out",
    Action.SESSION_ENDED: "Session ended",
    Action.PASSWORD_CHANGED: "Password changed",
    Action.PASSWORD_RESET: "Password reset",
    Action.PASSWORD_RESET_MAILED: "Link for a new password mailed",
    Action.BREAK_GLASS: "Let in by the operator",
    Action.SIGN_IN_BEGUN: "Sign-in begun",
    Action.CONFIRMED: "Proved again who they are",
    Action.FACTOR_ENROLLED: "Authenticator app set up",
    Action.FACTOR_REMOVED: "Authenticator app given up",
    Action.FACTOR_RESET: "Second step reset",
    Action.RECOVERY_CODES_MADE: "Recovery codes made",
    Action.RECOVERY_CODE_USED: "Recovery code used",
    Action.SUBJECT_LINKED: "Account of another provider linked",
    Action.SUBJECT_UNLINKED: "Account of another provider unlinked",
    Action.INVITED: "Invited",
    Action.INVITATION_WITHDRAWN: "Invitation withdrawn",
    Action.INVITATION_ACCEPTED: "Invitation accepted",
    Action.ACCOUNT_CREATED: "Account created",
    Action.ACCOUNT_DISABLED: "Account disabled",
    Action.ACCOUNT_ENABLED: "Account enabled",
    Action.ROLES_CHANGED: "Roles changed",
    Action.KEY_CREATED: "Key created",
    Action.KEY_ROTATED: "Key rotated",
    Action.KEY_REVOKED: "Key revoked",
    Action.POLICY_CREATED: "Paywall policy created",
    Action.POLICY_CHANGED: "Paywall policy changed",
    Action.ENTITLEMENTS_REBUILT: "Entitlements rebuilt",
    Action.PRODUCT_SAVED: "Reading product saved",
    Action.PLAN_SAVED: "Plan saved",
    Action.PERIOD_CLOSED: "Month of the books closed",
    Action.CHECK_ASKED: "Check of everything asked for",
    Action.BANK_ACCOUNT_SAVED: "Account for transfers entered",
    Action.SUBSCRIPTIONS_MOVED: "Subscriptions taken over from a provider",
    Action.CREDIT_ASSIGNED: "Transfer given to an order",
    Action.CREDIT_RETURNED: "Transfer sent back",
    Action.STATEMENT_IMPORTED: "Bank statement taken in",
    Action.COUPON_MADE: "Coupon made",
    Action.COUPON_ENDED: "Coupon ended",
    Action.OFFER_MADE: "Offer made",
    Action.OFFER_ENDED: "Offer ended",
    Action.REFUND_ASKED: "Refund asked for",
    Action.REFUND_APPROVED: "Refund approved",
    Action.REFUND_REFUSED: "Refund refused",
    Action.REFUND_PAID: "Refund paid out",
    Action.EXCEPTION_DONE: "Exception put aside",
    Action.RENEWAL_ENDED: "Renewal of a reader's plan ended",
    Action.RENEWAL_RESUMED: "Renewal of a reader's plan taken up again",
    Action.READER_SIGNED_OUT: "Reader signed out everywhere",
    Action.DAYS_GIVEN: "Days of reading given",
    Action.DAYS_ENDED: "Given days taken back",
    Action.RECEIPT_RESENT: "Receipt sent again",
    Action.READER_ERASED: "Data of a reader deleted",
    Action.NETWORK_APPROVED: "Network of a group approved",
    Action.NETWORK_REFUSED: "Network of a group refused",
    Action.NETWORK_ENDED: "Network of a group ended",
    Action.WEBHOOKS_REPLAYED: "Payment notices tried again",
    Action.LETTERS_RETRIED: "Letters to readers tried again",
    Action.LETTERS_DROPPED: "Letters to readers let go",
    Action.ADVERTISER_CREATED: "Advertiser created",
    Action.PLACEMENT_SAVED: "Placement saved",
    Action.AD_PRODUCT_SAVED: "Advertising product saved",
    Action.RATE_SET: "Price set",
    Action.ORDER_CREATED: "Order created",
    Action.LINE_CHANGED: "Line changed",
    Action.CREATIVE_CREATED: "Creative created",
    Action.CREATIVE_CHANGED: "Creative changed",
    Action.CREATIVE_IMAGE_CHANGED: "Creative's image changed",
    Action.BASELINE_UPLOADED: "Baseline uploaded",
    Action.BASELINE_COMPOSED: "Baseline composed",
    Action.BASELINE_FROZEN: "Baseline frozen",
    Action.BASELINE_DISCARDED: "Baseline discarded",
    Action.LINEAGE_SAVED: "Successor saved",
    Action.TARGET_SAVED: "Growth target saved",
    Action.IMPORT_UPLOADED: "Revenue file uploaded",
    Action.IMPORT_CONFIRMED: "Revenue file recorded",
    Action.AGENCY_SAVED: "Agency saved",
    Action.COUNTERS_REBUILT: "Advertising counters rebuilt",
    Action.DEAD_LETTERS_REPLAYED: "Dead letters replayed",
    Action.OUTBOX_REPUBLISHED: "Events published again",
    Action.OUTBOX_RETRIED: "Refused events offered again",
    Action.AUDIT_EXPORTED: "Audit trail downloaded",
}

#: Acts on the installation, which belong to no agency: only the command line shows them.
OF_NO_AGENCY = frozenset(
    {
        Action.NETWORK_LIMITED,
        Action.ENTITLEMENTS_REBUILT,
        Action.COUNTERS_REBUILT,
        Action.DEAD_LETTERS_REPLAYED,
        Action.OUTBOX_REPUBLISHED,
        Action.OUTBOX_RETRIED,
    }
)
_EVERYWHERE = (Action.AGENCY_SAVED, Action.AUDIT_EXPORTED)
#: What an agency's trail of each service may hold. A test compares with what the service's code records.
RECORDED_BY: dict[str, tuple[Action, ...]] = {
    "identity": (
        Action.SIGNED_IN,
        Action.SIGN_IN_FAILED,
        Action.LOCKED_OUT,
        Action.LOCK_CLEARED,
        Action.SIGNED_OUT,
        Action.SESSION_ENDED,
        Action.PASSWORD_CHANGED,
        Action.PASSWORD_RESET,
        Action.PASSWORD_RESET_MAILED,
        Action.BREAK_GLASS,
        Action.SIGN_IN_BEGUN,
        Action.CONFIRMED,
        Action.FACTOR_ENROLLED,
        Action.FACTOR_REMOVED,
        Action.FACTOR_RESET,
        Action.RECOVERY_CODES_MADE,
        Action.RECOVERY_CODE_USED,
        Action.SUBJECT_LINKED,
        Action.SUBJECT_UNLINKED,
        Action.INVITED,
        Action.INVITATION_WITHDRAWN,
        Action.INVITATION_ACCEPTED,
        Action.ACCOUNT_CREATED,
        Action.ACCOUNT_DISABLED,
        Action.ACCOUNT_ENABLED,
        Action.ROLES_CHANGED,
        Action.KEY_CREATED,
        Action.KEY_ROTATED,
        Action.KEY_REVOKED,
        *_EVERYWHERE,
    ),
    "paywall": (Action.POLICY_CREATED, Action.POLICY_CHANGED, *_EVERYWHERE),
    "billing": (
        Action.PLAN_SAVED,
        Action.WEBHOOKS_REPLAYED,
        Action.LETTERS_RETRIED,
        Action.LETTERS_DROPPED,
        Action.PERIOD_CLOSED,
        Action.CHECK_ASKED,
        Action.BANK_ACCOUNT_SAVED,
        Action.CREDIT_ASSIGNED,
        Action.CREDIT_RETURNED,
        Action.STATEMENT_IMPORTED,
        Action.COUPON_MADE,
        Action.COUPON_ENDED,
        Action.OFFER_MADE,
        Action.OFFER_ENDED,
        Action.REFUND_ASKED,
        Action.REFUND_APPROVED,
        Action.REFUND_REFUSED,
        Action.REFUND_PAID,
        Action.EXCEPTION_DONE,
        Action.RENEWAL_ENDED,
        Action.RENEWAL_RESUMED,
        Action.READER_SIGNED_OUT,
        Action.DAYS_GIVEN,
        Action.DAYS_ENDED,
        Action.RECEIPT_RESENT,
        Action.READER_ERASED,
        Action.NETWORK_APPROVED,
        Action.NETWORK_REFUSED,
        Action.NETWORK_ENDED,
        Action.SUBSCRIPTIONS_MOVED,
        *_EVERYWHERE,
    ),
    "ads": (
        Action.ADVERTISER_CREATED,
        Action.PLACEMENT_SAVED,
        Action.AD_PRODUCT_SAVED,
        Action.RATE_SET,
        Action.ORDER_CREATED,
        Action.LINE_CHANGED,
        Action.CREATIVE_CREATED,
        Action.CREATIVE_CHANGED,
        Action.CREATIVE_IMAGE_CHANGED,
        *_EVERYWHERE,
    ),
    "metrics": (
        Action.BASELINE_UPLOADED,
        Action.BASELINE_COMPOSED,
        Action.BASELINE_FROZEN,
        Action.BASELINE_DISCARDED,
        Action.LINEAGE_SAVED,
        Action.TARGET_SAVED,
        Action.IMPORT_UPLOADED,
        Action.IMPORT_CONFIRMED,
        *_EVERYWHERE,
    ),
}
