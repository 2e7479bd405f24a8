"""An example of a check in Python: double-entry bookkeeping, where the entries of each
booking add up to zero, to the cent. Its settings in lsrun.yml, with what they are without any:

    plugins: {settings: {ledger: {config: {table: entries, booking: booking, amount: amount}}}}
"""

from collections import defaultdict
from decimal import Decimal, InvalidOperation

from lsrun import failed, not_applicable, plugin, quoted, settings, tuples, value
from wit_world import exports
from wit_world.imports import sqlite

SHOWN = 3


class Check(exports.Check):
    @plugin
    def run(self, database, copy):
        own = settings(table="entries", booking="booking", amount="amount")
        connection = sqlite.open_copy(copy)
        if value(connection, "SELECT 1 FROM sqlite_schema WHERE name = ?", own["table"]) is None:
            raise not_applicable(f"there is no table {own['table']}")
        booking, amount, table = (quoted(own[key]) for key in ("booking", "amount", "table"))
        # As text: a REAL would lose cents.
        sql = f"SELECT {booking}, CAST({amount} AS TEXT) FROM {table}"
        uneven = unbalanced(tuples(connection, sql))
        if uneven:
            causes = [f"booking {name} adds up to {total}" for name, total in uneven[:SHOWN]]
            raise failed(f"{len(uneven)} bookings do not add up to zero", causes=causes)


def unbalanced(entries):
    """The bookings whose entries do not add up to zero, with what they add up to."""
    totals = defaultdict(Decimal)
    for booking, amount in entries:
        try:
            totals[booking] += Decimal(amount)
        except (InvalidOperation, TypeError):
            raise failed(f"booking {booking} has an entry of {amount!r}") from None
    return [(booking, total) for booking, total in totals.items() if total != 0]
