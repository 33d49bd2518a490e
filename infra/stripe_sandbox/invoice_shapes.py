"""The shape of an invoice and its lines in the pinned API version."""

from .shapes import INVOICE, template
from .store import Doc


def blank(
    identifier: str,
    *,
    subscription: Doc,
    customer: Doc,
    reason: str,
    period: tuple[int, int],
    at: int,
) -> Doc:
    """An invoice without its lines and sums."""
    return {
        **template(INVOICE),
        "id": identifier,
        "billing_reason": reason,
        "created": at,
        "currency": subscription["currency"],
        "customer": subscription["customer"],
        "customer_address": customer["address"],
        "customer_email": customer["email"],
        "customer_name": customer["name"],
        "customer_phone": customer["phone"],
        "parent": {
            "quote_details": None,
            "subscription_details": {
                "metadata": subscription["metadata"],
                "subscription": subscription["id"],
            },
            "type": "subscription_details",
        },
        "period_start": period[0],
        "period_end": period[1],
        "test_clock": None,
    }


def line_of(identifier: str, invoice: str, subscription: Doc, item: Doc) -> Doc:
    """One item of a subscription, for the item's current period."""
    price = item["price"]
    amount = price["unit_amount"]
    return {
        "id": identifier,
        "object": "line_item",
        "amount": amount,
        "currency": price["currency"],
        "description": f"1 × {price['id']}",
        "discount_amounts": [],
        "discountable": True,
        "discounts": [],
        "invoice": invoice,
        "livemode": False,
        "metadata": subscription["metadata"],
        "parent": {
            "invoice_item_details": None,
            "subscription_item_details": {
                "invoice_item": None,
                "proration": False,
                "proration_details": {"credited_items": None},
                "subscription": subscription["id"],
                "subscription_item": item["id"],
            },
            "type": "subscription_item_details",
        },
        "period": {"start": item["current_period_start"], "end": item["current_period_end"]},
        "pretax_credit_amounts": [],
        "pricing": {
            "price_details": {"price": price["id"], "product": price["product"]},
            "type": "price_details",
            "unit_amount_decimal": price["unit_amount_decimal"],
        },
        "quantity": 1,
        "quantity_decimal": "1",
        "subscription": subscription["id"],
        "subtotal": amount,
        "taxes": [],
    }
