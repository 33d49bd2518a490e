"""What a reader is told by mail, besides sign-in codes: welcome, receipts, reminders, failures, refunds.

Meaning: a letter is written down in the transaction of the fact it tells of, once (its business key), and sent by the
worker afterwards. All are about the reader's own account; none is advertising, so none needs a consent.
What may never be: a fact told twice, a reminder to somebody who has renewed, a letter lost because the mail server was
away, or another agency's name in it.
"""
