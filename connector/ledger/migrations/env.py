"""Alembic's entry: migrate over the connection that `upgrade` opened. Decides nothing.

To make a new migration, run `alembic -c` with a file whose `script_location` is this folder and whose
`sqlalchemy.url` is an up-to-date scratch database, with `revision --autogenerate`.
"""

from alembic import context
from sqlalchemy import Connection, engine_from_config, pool

from connector.ledger.tables import METADATA
from connector.ledger.whole.tables import all_tables

all_tables()  # METADATA has those alone whose modules are loaded


def _migrate(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=METADATA,
        render_as_batch=True,  # SQLite alters a table by copying it
        compare_type=True,
    )
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    _migrate(given)
else:
    engine = engine_from_config(
        context.config.get_section(context.config.config_ini_section, {}), poolclass=pool.NullPool
    )
    with engine.connect() as connection:
        _migrate(connection)
        connection.commit()
