"""What does not fit by itself and waits for finance: refunds that failed, disputes, money that is nobody's, payouts that do not match."""
