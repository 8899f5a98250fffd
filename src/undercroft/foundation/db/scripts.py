"""SQL scripts of several statements, which prepared-statement drivers do not take as they are."""

from typing import Any

from sqlalchemy import Connection


def run_script(connection: Connection, script: str) -> None:
    """Run every statement of `script` in the connection's present transaction."""
    connection.exec_driver_sql("SELECT 1")  # the adapter opens the transaction only here
    driver: Any = connection.connection.dbapi_connection
    driver.run_async(lambda raw: raw.execute(script))
