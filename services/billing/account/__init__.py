"""The reader's own pages: what they subscribe to, have paid, where they are signed in."""
