"""Another e-mail address for a reader: proved by a code to its mailbox, told to the old one, which may take it back for a week.

What may never be: two readers of an agency under one address; a session that outlives a change in another browser; an address that
somebody else takes while its old reader may still have it back; a page that tells whether an address has an account.
"""
