"""@about@: `lsrun @name@` prints the tables of each database with their rows."""

from lsrun import checked, plugin, quoted, rows, value
from wit_world import exports
from wit_world.imports import sqlite

TABLES = (
    "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY 1"
)


class Command(exports.Command):
    @plugin
    def run(self, invocation):
        for database in invocation.databases():
            checked("count", lambda: count(sqlite.open(database)))


def count(connection):
    names = [one["name"] for one in rows(connection, TABLES)]
    each = [f"{name}: {value(connection, f'SELECT count(*) FROM {quoted(name)}')}" for name in names]
    return ", ".join(each)
