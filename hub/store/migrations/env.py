"""Alembic's entry: runs the revisions on the connection that :mod:`hub.store.migrate` hands over."""

from alembic import context
from sqlalchemy import event

from edge.sync import faults
from hub.store.schema_rights import metadata  # with it all tables are known

connection = context.config.attributes["connection"]
event.listen(connection, "after_cursor_execute", lambda *_: faults.point("hub-migrating"))
context.configure(
    connection=connection, target_metadata=metadata, on_version_apply=lambda **_: faults.point("hub-migrated")
)
with context.begin_transaction():
    context.run_migrations()
