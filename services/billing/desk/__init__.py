"""What the support desk looks up: a reader by what they say of themselves, and everything of theirs."""
