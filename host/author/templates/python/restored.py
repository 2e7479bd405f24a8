"""@about@."""

from lsrun import log, plugin
from wit_world import exports


class Restored(exports.Restored):
    @plugin
    def run(self, plan, replaced):
        kept = replaced.kept()
        old = f"; the old one is {kept}" if kept else ""
        log("info", f"{replaced.path()} is restored from {plan.source()}{old}")
