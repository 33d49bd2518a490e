"""A password beside the codes, for who wants one.

What may never be: a page, an answer or its time tells whether a mailbox has an account or a password; wrong passwords refuse a code, or
wrong codes a password; a password is set or removed without a fresh code of the mailbox, or changed without that or the one before;
what a password opened stays open when it is changed or removed; a password outlives the change of address that a thief made,
once the old mailbox takes that back. Only an argon2id hash is kept, and no log, event, letter or row of the audit has it.
"""
