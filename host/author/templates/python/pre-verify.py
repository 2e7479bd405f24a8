"""@about@. Its settings in lsrun.yml, with what they are without any:

    plugins: {settings: {@name@: {config: {paused: false}}}}
"""

from lsrun import plugin, refused, settings
from wit_world import exports


class PreVerify(exports.PreVerify):
    @plugin
    def run(self, plan):
        if settings(paused=False)["paused"]:
            raise refused(f"{plan.command()} is paused in lsrun.yml")
