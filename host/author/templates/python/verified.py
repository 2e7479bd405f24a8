"""@about@. Its settings in lsrun.yml, with what they are without any, and what it needs:

    plugins:
      settings:
        @name@:
          config: {url: "${WEBHOOK_URL}", always: false}
          grant: [http=hooks.example.com]
"""

import json

from lsrun import error, plugin, settings
from wit_world import exports
from wit_world.imports import http


class Verified(exports.Verified):
    @plugin
    def run(self, verification):
        wanted = settings(url="", always=False)
        outcome = verification.outcome()
        if outcome == "passed" and not wanted["always"]:
            return
        database = verification.database()
        name = database.name() if database else verification.source()
        last = verification.last_proved()
        last = last.rfc3339 if last else "never"
        text = f"{verification.host()}: the backup of {name}: {outcome}; last proved good: {last}"
        request = http.Request("POST", wanted["url"])
        request.set_header("Content-Type", "application/json")
        request.set_body(json.dumps({"text": text}).encode())
        status = request.send().status()
        if not 200 <= status < 300:
            raise error("unreachable", f"the message was answered with {status}")
