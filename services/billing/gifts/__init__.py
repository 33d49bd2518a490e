"""A gift that is sent on a day: its giver names a mailbox, a few words and a date, and the letter with the code goes out that morning.

Meaning: the letter is the gift's code in other words, and opens nothing by itself. What may never be: a letter with a code that was
redeemed or whose money went back; more letters to strangers than a giver's measure (``mailboxes``) and a gift's (``rules``).
"""
