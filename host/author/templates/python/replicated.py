"""@about@."""

from lsrun import log, plugin
from wit_world import exports


class Replicated(exports.Replicated):
    @plugin
    def run(self, replication):
        reason, code = replication.reason(), replication.exit_code()
        log("info", f"the replication is over: {reason} (code {code})")
