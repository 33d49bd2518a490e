"""The first slice: readers, plans, subscriptions, payments, ledger, webhook inbox.

Plain SQL, so that a later change of the models never changes history.
"""

from pathlib import Path

from alembic import op

from shared import agencies, inbox, outbox

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

PARTS = ("readers", "plans", "subscriptions", "payments", "ledger", "webhooks")


def run_script(sql: str) -> None:
    """Several statements at once: the driver's prepared statements take one only."""
    op.get_bind().connection.run_async(lambda driver: driver.execute(sql))


def upgrade() -> None:
    for script in (agencies.SCHEMA_V1, inbox.SCHEMA_V1, outbox.SCHEMA_V1):
        run_script(script)
    for part in PARTS:
        sql = (Path(__file__).parent / f"0001_{part}.sql").read_text(encoding="utf-8")
        run_script(sql)


def downgrade() -> None:
    raise RuntimeError("the first revision has nothing before it: drop the database instead")
