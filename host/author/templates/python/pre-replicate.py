"""@about@. Its settings in lsrun.yml, with what they are without any:

    plugins: {settings: {@name@: {config: {standby: false}}}}
"""

from lsrun import plugin, refused, settings
from wit_world import exports


class PreReplicate(exports.PreReplicate):
    @plugin
    def run(self, plan):
        if settings(standby=False)["standby"]:
            names = ", ".join(database.name() for database in plan.databases())
            raise refused(f"this host is a standby for {names}")
