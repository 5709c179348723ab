"""How Alembic is run: on a connection that `database.upgrade` hands over."""

from alembic import context

from radlet.reading.store.tables import Base

connection = context.config.attributes["connection"]
# SQLite changes a column by copying the table.
context.configure(connection=connection, target_metadata=Base.metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
