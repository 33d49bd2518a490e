"""Second factors: time-based codes of an authenticator app (RFC 6238) and single-use recovery codes."""
