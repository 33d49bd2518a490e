"""The deployment by docker compose: what it is asked, what it makes, and what it may use."""
