"""The mobile number that a reader signs in with, beside their e-mail address.

What may never be: a number is two readers' of an agency; it becomes somebody's without a code that was sent to it; an account is taken
from its mailbox by a number (operators give numbers to new people): the address, the copy of the data and another number ask for a code
to the mailbox where the session was opened by the number. Every reader has an address: invoices and letters go there.
"""
