// Helpers for plugins of lsrun in JavaScript: errors as exceptions, rows as objects,
// settings with defaults. One file, to be copied.
import * as report from 'lsrun:host/report@0.1.0';
import * as own from 'lsrun:host/settings@0.1.0';

// An error of lsrun's: its codes are in types.wit.
export class PluginError extends Error {
  constructor(code, message, { hint, causes = [] } = {}) {
    super(message);
    Object.assign(this, { code, hint, causes });
  }
}

// For a check: the copy is wrong.
export const failed = (message, more) => new PluginError('failed', message, more);
// For a hook: it refuses.
export const refused = (message, more) => new PluginError('refused', message, more);
// For a check: there is nothing to check in this database.
export const notApplicable = (message, more) => new PluginError('not-applicable', message, more);
// It could not be determined.
export const inconclusive = (message, more) => new PluginError('inconclusive', message, more);

// What an exception is to lsrun. One of the host's has its error as its payload.
function asError(thrown) {
  if (thrown?.payload?.code) return thrown.payload;
  if (thrown instanceof PluginError) {
    const { code, message, hint, causes } = thrown;
    return { code, message, hint, causes };
  }
  const stack = String(thrown?.stack ?? '').split('\n').map((line) => line.trim());
  const causes = stack.filter((line) => line !== '').slice(0, 5);
  return { code: 'inconclusive', message: `uncaught ${thrown}`, hint: undefined, causes };
}

// An export out of a function: `export const check = plugin((database, copy) => {…})`.
// What it throws becomes an error; anything but an error of lsrun's is inconclusive.
export function plugin(run) {
  return {
    run(...things) {
      try {
        run(...things);
      } catch (thrown) {
        throw asError(thrown);
      }
    },
  };
}

// The settings in lsrun.yml, and these where there are none. An unknown key is an error.
export function settings(defaults = {}) {
  const given = JSON.parse(own.get()) ?? {};
  const unknown = Object.keys(given).find((key) => !(key in defaults));
  if (unknown !== undefined) {
    const hint = `the settings are ${Object.keys(defaults).join(', ')}`;
    throw new PluginError('invalid', `unknown setting ${unknown}`, { hint });
  }
  return { ...defaults, ...given };
}

// A text as the bytes of its UTF-8: QuickJS has no TextEncoder.
export const bytes = (text) =>
  Uint8Array.from(unescape(encodeURIComponent(text)), (letter) => letter.charCodeAt(0));

// A name in SQL. In double quotes SQLite takes an unknown name for a string.
export const quoted = (name) => `\`${String(name).replaceAll('`', '``')}\``;

// A parameter of a query. A bigint is an integer, and so is a number without a fraction.
function parameter(value) {
  if (value === null || value === undefined) return { tag: 'null' };
  if (typeof value === 'boolean') return { tag: 'integer', val: value ? 1 : 0 };
  if (typeof value === 'bigint' || Number.isSafeInteger(value)) return { tag: 'integer', val: Number(value) };
  if (typeof value === 'number') return { tag: 'real', val: value };
  if (value instanceof Uint8Array) return { tag: 'blob', val: value };
  return { tag: 'text', val: String(value) };
}

// A value of a row: null, a number, a bigint beyond 2^53, a string, or the bytes of a blob.
function cell(value) {
  if (value === null || typeof value !== 'object') return value;
  if (value.integer !== undefined) return BigInt(value.integer);
  if (value.real !== undefined) return value.real === 'inf' ? Infinity : -Infinity;
  return Uint8Array.from(value.blob.match(/../g) ?? [], (byte) => parseInt(byte, 16));
}

// The rows of a query in batches of arrays; the query ends with the loop over them.
function* batches(found) {
  try {
    for (;;) {
      const json = found.nextJson(4096);
      const some = JSON.parse(json);
      if (some.length === 0) return;
      // Only what JSON has no form for is an object there.
      if (json.includes('{')) {
        for (const row of some) {
          for (let i = 0; i < row.length; i += 1) row[i] = cell(row[i]);
        }
      }
      yield some;
    }
  } finally {
    // A connection has one query at a time.
    found[Symbol.dispose]?.();
  }
}

// Each row as an array. Any number of rows takes little memory.
export function* arrays(connection, sql, parameters = []) {
  const found = connection.query(sql, parameters.map(parameter));
  for (const some of batches(found)) yield* some;
}

// Each row as an object with the columns' names.
export function* rows(connection, sql, parameters = []) {
  const found = connection.query(sql, parameters.map(parameter));
  const object = literal(found.columns());
  for (const some of batches(found)) {
    for (const row of some) yield object(row);
  }
}

// A function that makes an object of an array: twice as fast as key by key.
function literal(names) {
  const fields = names.map((name, i) => `[${JSON.stringify(name)}]: row[${i}]`);
  return new Function('row', `return {${fields.join(', ')}}`);
}

// The first column of the first row; undefined when there is no row.
export function value(connection, sql, parameters = []) {
  for (const row of arrays(connection, sql, parameters)) return row[0];
  return undefined;
}

// A line for people: debug (with --verbose), info, warning or error.
export const log = (level, message) => report.log(level, String(message));

// A check of its own in the report: passed with the message that `run` returns, or ended
// with what it throws.
export function checked(id, run) {
  const check = new report.Check(id);
  try {
    check.passed(String(run() ?? ''));
  } catch (thrown) {
    check.ended(asError(thrown));
  }
}
