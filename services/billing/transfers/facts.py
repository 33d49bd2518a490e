"""What is known of a bank transfer, whoever tells it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


class MalformedNoticeError(Exception):
    """A notice that is not what its sender promises. The message names the field."""


@dataclass(frozen=True, slots=True)
class CreditNotice:
    """Money that came into one of an agency's bank accounts, as one source reports it."""

    account: str  # number of the account that was credited: letters and digits only
    external_id: str  # the source's own id: the same notice again has the same one
    reference: str  # the bank's id of the transaction, upper case; empty when it is not told
    amount_vnd: int  # above 0
    note: str  # what the payer wrote, as the bank passed it on
    payer: str  # name or account of who paid; empty when it is not told
    occurred_at: datetime  # when the bank booked it, with its zone
