"""Runs the migrations on the connection ``open_database`` hands in, inside its transaction."""

from alembic import context

from smsc_filter.records.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # SQLite cannot alter a column; Alembic then copies the table.
    render_as_batch=True,
)
context.run_migrations()
