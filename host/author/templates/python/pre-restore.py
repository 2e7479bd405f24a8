"""@about@. Its settings in lsrun.yml, with what they are without any:

    plugins: {settings: {@name@: {config: {most_ahead: 0}}}}
"""

from lsrun import plugin, refused, settings
from wit_world import exports


class PreRestore(exports.PreRestore):
    @plugin
    def run(self, plan):
        present = plan.present()
        ahead = present.ahead() if present else None
        if ahead is not None and ahead > settings(most_ahead=0)["most_ahead"]:
            raise refused(f"the current database has {ahead} transactions more")
