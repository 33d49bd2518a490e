"""What does not fit by itself and waits for finance: refunds that failed, disputes, money that is nobody's or in
another currency, payouts that do not match."""
