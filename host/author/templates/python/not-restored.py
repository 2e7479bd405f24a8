"""@about@."""

from lsrun import log, plugin
from wit_world import exports


class NotRestored(exports.NotRestored):
    @plugin
    def run(self, plan, reason):
        log("warning", f"nothing was restored from {plan.source()}: {reason.message}")
