"""How a browser names itself, readably."""
