"""A reader's own data: a copy of everything that is about them, and its deletion.

What may never be: a table that holds something about readers is in neither list of ``rules.TABLES`` (a test walks the database's
catalogue); a secret or a token leaves with the copy; an invoice that was issued changes; the mailbox, the name or the address of who
was erased stays where ``rules.TABLES`` says that it goes; a price for who is new is had again by deleting.
"""
