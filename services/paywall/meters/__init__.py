"""How many distinct articles a reader has opened in the present window. PostgreSQL is the truth."""
