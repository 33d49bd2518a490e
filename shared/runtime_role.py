"""The group of all run-time roles of PostgreSQL (``shared.database.privileges``): also for what does not speak to a database."""

#: It may connect nowhere by itself: CONNECT is each role's own.
RUNTIME_ROLE = "press_runtime"
