// @about@. Its settings in lsrun.yml, with what they are without any:
//
//   plugins: {settings: {@name@: {config: {table: users, column: name}}}}
import * as sqlite from 'lsrun:host/sqlite@0.1.0';
import { failed, plugin, quoted, rows, settings } from './lsrun.js';

export const check = plugin((database, copy) => {
  const { table, column } = settings({ table: 'users', column: 'name' });
  const sql = `SELECT rowid AS row, ${quoted(column)} AS value FROM ${quoted(table)}`;
  let count = 0;
  for (const { row, value } of rows(sqlite.openCopy(copy), sql)) {
    count += 1;
    if (value === null || String(value).trim() === '') {
      throw failed(`${table}: row ${row} has no ${column}`);
    }
  }
  if (count === 0) throw failed(`${table} is empty`);
});
