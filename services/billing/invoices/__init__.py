"""Invoices: one a captured payment, numbered without gaps per agency and year, never changed; shown and printed."""
