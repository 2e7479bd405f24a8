"""Helpers for plugins of lsrun in Python: errors as exceptions, rows as dicts, settings
with defaults. One file, to be copied."""

import functools
import json
import traceback

from componentize_py_types import Err
from wit_world.imports import report
from wit_world.imports import settings as own
from wit_world.imports import sqlite
from wit_world.imports.types import Error


def error(code, message, hint=None, causes=()):
    """An exception of lsrun's: the codes are in types.wit."""
    return Err(Error(code, message, hint, list(causes)))


def failed(message, **more):
    """For a check: the copy is wrong."""
    return error("failed", message, **more)


def refused(message, **more):
    """For a hook: it refuses."""
    return error("refused", message, **more)


def not_applicable(message, **more):
    """For a check: there is nothing to check in this database."""
    return error("not-applicable", message, **more)


def inconclusive(message, **more):
    """It could not be determined."""
    return error("inconclusive", message, **more)


def _as_error(raised):
    if isinstance(raised, Err):
        return raised.value
    lines = [line.strip() for line in traceback.format_exception(raised)]
    return Error("inconclusive", f"uncaught {type(raised).__name__}: {raised}", None, lines[-5:-1])


def plugin(run):
    """Around an export's `run`: what it raises becomes an error; anything but an error of
    lsrun's is inconclusive."""

    @functools.wraps(run)
    def wrapped(*things):
        try:
            run(*things)
        except Exception as raised:
            raise Err(_as_error(raised)) from None

    return wrapped


def settings(**defaults):
    """The settings in lsrun.yml, and these where there are none. An unknown key is an error."""
    given = json.loads(own.get()) or {}
    for unknown in given.keys() - defaults.keys():
        hint = f"the settings are {', '.join(defaults)}"
        raise error("invalid", f"unknown setting {unknown}", hint)
    return {**defaults, **given}


def quoted(name):
    """A name in SQL. In double quotes SQLite takes an unknown name for a string."""
    return "`" + str(name).replace("`", "``") + "`"


def _parameter(value):
    match value:
        case None:
            return sqlite.Value_Null()
        case bool() | int():
            return sqlite.Value_Integer(int(value))
        case float():
            return sqlite.Value_Real(value)
        case bytes() | bytearray():
            return sqlite.Value_Blob(bytes(value))
        case _:
            return sqlite.Value_Text(str(value))


def _cell(value):
    """None, int, float, str, or bytes."""
    if not isinstance(value, dict):
        return value
    if "integer" in value:
        return int(value["integer"])
    if "real" in value:
        return float(value["real"])
    return bytes.fromhex(value["blob"])


def _lists(found):
    # The query ends with the loop: a connection has one at a time. Rows are taken as JSON,
    # which is several times as fast as value by value.
    with found:
        while True:
            text = found.next_json(4096)
            some = json.loads(text)
            if not some:
                return
            # Only what JSON has no form for is an object there.
            if "{" in text:
                some = [[_cell(one) for one in row] for row in some]
            yield from some


def tuples(connection, sql, *parameters):
    """Each row as a tuple. Any number of rows takes little memory."""
    return map(tuple, _lists(connection.query(sql, [_parameter(one) for one in parameters])))


def rows(connection, sql, *parameters):
    """Each row as a dict with the columns' names."""
    found = connection.query(sql, [_parameter(one) for one in parameters])
    names = found.columns()
    return (dict(zip(names, row)) for row in _lists(found))


def value(connection, sql, *parameters):
    """The first column of the first row; None when there is no row."""
    return next((row[0] for row in tuples(connection, sql, *parameters)), None)


def log(level, message):
    """A line for people: debug (with --verbose), info, warning or error."""
    report.log(level, str(message))


def checked(id, run):
    """A check of its own in the report: passed with the message that `run` returns, or
    ended with what it raises."""
    check = report.Check(id)
    try:
        check.passed(str(run() or ""))
    except Exception as raised:
        check.ended(_as_error(raised))
