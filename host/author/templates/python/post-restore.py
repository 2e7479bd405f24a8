"""@about@. Its settings in lsrun.yml, with what they are without any:

    plugins: {settings: {@name@: {config: {table: users, min: 1}}}}
"""

from lsrun import plugin, quoted, refused, settings, value
from wit_world import exports
from wit_world.imports import sqlite


class PostRestore(exports.PostRestore):
    @plugin
    def run(self, plan, copy):
        own = settings(table="users", min=1)
        table, least = own["table"], own["min"]
        count = value(sqlite.open_copy(copy), f"SELECT count(*) FROM {quoted(table)}")
        if count < least:
            raise refused(f"{table} has {count} rows, expected at least {least}")
