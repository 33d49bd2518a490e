"""The proof that somebody reads a mailbox, or has a mobile number: a code that is sent there. Signing in, students' addresses and mail
domains use it.

What may never be: a code works after its time, after five wrong ones, or for another purpose than its own; a mailbox gets more
codes than its measure, whatever they are for and whoever asks. The codes stand in the tables of those who ask for them, as
hashes; what is counted stands here.
"""
