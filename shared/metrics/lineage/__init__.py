"""Which agency carries on which: merges and splits, by segment and date."""
