"""Signing in with a code from one's mailbox, and how often that may be tried.

What may never be: a code works twice, or after its time; somebody's wrong codes refuse another's right one; a network that
many readers share is shut. What is counted is the mailbox (``mailboxes``: mail that reaches somebody who did not ask for it) and
the code (guesses); a busy network only waits its turn.
"""
