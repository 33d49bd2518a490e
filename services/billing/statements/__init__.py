"""Bank statements that finance takes in: read, shown, confirmed, then applied row by row like a bank's notices."""
