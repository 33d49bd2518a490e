"""What members of staff see of billing: subscriptions, the books, the inbox, the invariants."""
