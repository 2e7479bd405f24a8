// @about@. Its settings in lsrun.yml, with what they are without any:
//
//   plugins: {settings: {@name@: {config: {table: users, min: 1}}}}
import * as sqlite from 'lsrun:host/sqlite@0.1.0';
import { plugin, quoted, refused, settings, value } from './lsrun.js';

export const postRestore = plugin((plan, copy) => {
  const { table, min } = settings({ table: 'users', min: 1 });
  const count = value(sqlite.openCopy(copy), `SELECT count(*) FROM ${quoted(table)}`);
  if (count < min) {
    throw refused(`${table} has ${count} rows, expected at least ${min}`);
  }
});
