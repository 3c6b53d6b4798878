"""Alembic's entry: runs the revisions on the connection that :mod:`hub.store.migrate` hands over."""

from alembic import context

from hub.store.schema_rights import metadata  # with it all tables are known

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
