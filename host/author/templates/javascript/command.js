// @about@: `lsrun @name@` prints the tables of each database with their rows.
import * as sqlite from 'lsrun:host/sqlite@0.1.0';
import { checked, plugin, quoted, rows, value } from './lsrun.js';

const TABLES =
  "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY 1";

export const command = plugin((invocation) => {
  for (const database of invocation.databases()) {
    checked('count', () => {
      const connection = sqlite.open(database);
      const tables = [...rows(connection, TABLES)];
      return tables
        .map(({ name }) => `${name}: ${value(connection, `SELECT count(*) FROM ${quoted(name)}`)}`)
        .join(', ');
    });
  }
});
