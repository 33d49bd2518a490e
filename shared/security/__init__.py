"""Security events: what somebody tried that was refused, as log lines and one counter.

Meaning: an event is an attempt that a guard has stopped, or the state a guard went into because of attempts; the audit trail
(``shared.audit``) tells of acts that took effect. ``docs/security/events.md`` says of each where it comes from and what to do.
"""
