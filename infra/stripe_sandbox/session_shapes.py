"""The shape of a Checkout Session and its lines in the pinned API version."""

from .shapes import SESSION, template
from .store import Doc


def blank(identifier: str, *, mode: str, total: int, url: str, at: int, types: list[str]) -> Doc:
    """An open session that nobody has looked at yet."""
    sums = None if mode == "setup" else total
    free = mode == "setup" or total == 0
    return {
        **template(SESSION),
        "id": identifier,
        "amount_subtotal": sums,
        "amount_total": sums,
        "created": at,
        "expires_at": at,
        "invoice_creation": _no_invoice() if mode == "payment" else None,
        "mode": mode,
        "payment_method_collection": "if_required" if mode == "payment" else "always",
        "payment_method_types": types,
        "payment_status": "no_payment_required" if free else "unpaid",
        "total_details": None if mode == "setup" else _no_extras(),
        "url": url,
    }


def _no_extras() -> Doc:
    return {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0}


def _no_invoice() -> Doc:
    return {
        "enabled": False,
        "invoice_data": {
            "account_tax_ids": None,
            "custom_fields": None,
            "description": None,
            "footer": None,
            "issuer": None,
            "metadata": {},
            "rendering_options": None,
        },
    }


def details(email: str | None, name: str | None) -> Doc:
    """``customer_details``: who filled the page in."""
    return {
        "address": None,
        "business_name": None,
        "email": email,
        "individual_name": None,
        "name": name,
        "phone": None,
        "tax_exempt": "none",
        "tax_ids": [],
    }


def line_item(identifier: str, price: Doc, quantity: int, description: str) -> Doc:
    """One line."""
    amount = price["unit_amount"] * quantity
    return {
        "id": identifier,
        "object": "item",
        "adjustable_quantity": None,
        "amount_discount": 0,
        "amount_subtotal": amount,
        "amount_tax": 0,
        "amount_total": amount,
        "currency": price["currency"],
        "description": description,
        "discounts": [],
        "metadata": {},
        "price": price,
        "quantity": quantity,
        "taxes": [],
    }
