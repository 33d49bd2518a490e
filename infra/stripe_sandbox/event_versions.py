"""Events of another API version: objects in a shape that a consumer of the pinned one does not know.

An event keeps the version, and the shape, that its account had when it was made, also in the
list: https://docs.stripe.com/webhooks/versioning. So a consumer that meets another version has
to fetch the object anew.
"""

from .store import Doc

# What differs: old name, new name. Ids, ``object`` and metadata are the same in every version.
RENAMED = {
    "amount": "value",
    "amount_total": "total",
    "amount_received": "received",
    "amount_refunded": "refunded_value",
    "latest_charge": "charge",
    "payment_intent": "payment",
    "payment_status": "paid_status",
    "status": "state",
}


def reshaped(doc: Doc) -> Doc:
    """The same object as another version has it: some fields under other names."""
    return {RENAMED.get(name, name): value for name, value in doc.items()}
