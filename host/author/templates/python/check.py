"""@about@. Its settings in lsrun.yml, with what they are without any:

    plugins: {settings: {@name@: {config: {table: users, column: name}}}}
"""

from lsrun import failed, plugin, quoted, rows, settings
from wit_world import exports
from wit_world.imports import sqlite


class Check(exports.Check):
    @plugin
    def run(self, database, copy):
        own = settings(table="users", column="name")
        table, column = own["table"], own["column"]
        sql = f"SELECT rowid AS row, {quoted(column)} AS value FROM {quoted(table)}"
        count = 0
        for count, one in enumerate(rows(sqlite.open_copy(copy), sql), 1):
            if one["value"] is None or not str(one["value"]).strip():
                raise failed(f"{table}: row {one['row']} has no {column}")
        if count == 0:
            raise failed(f"{table} is empty")
