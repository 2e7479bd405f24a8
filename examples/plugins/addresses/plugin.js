// An example of a check in JavaScript: every mail address of a table has to look like one.
// Its settings in lsrun.yml, with what they are without any:
//
//   plugins: {settings: {addresses: {config: {table: users, column: email, most_wrong: 0}}}}
import * as report from 'lsrun:host/report@0.1.0';
import * as sqlite from 'lsrun:host/sqlite@0.1.0';
import { failed, notApplicable, plugin, quoted, rows, settings, value } from './lsrun.js';

const ADDRESS = /^[^\s@]+@[^\s@.]+(\.[^\s@.]+)+$/;
const SHOWN = 3;

export const check = plugin((database, copy) => {
  const { table, column, most_wrong } = settings({ table: 'users', column: 'email', most_wrong: 0 });
  const connection = sqlite.openCopy(copy);
  if (value(connection, 'SELECT 1 FROM sqlite_schema WHERE name = ?', [table]) === undefined) {
    throw notApplicable(`there is no table ${table}`);
  }
  const [address, from] = [quoted(column), quoted(table)];
  const sql = `SELECT ${address} AS address FROM ${from} WHERE ${address} IS NOT NULL`;
  const wrong = [];
  let count = 0;
  for (const row of rows(connection, sql)) {
    count += 1;
    if (!ADDRESS.test(row.address)) wrong.push(String(row.address));
  }
  report.fact('addresses', JSON.stringify({ count, wrong: wrong.length }));
  if (wrong.length > most_wrong) {
    const causes = wrong.slice(0, SHOWN).map((one) => JSON.stringify(one));
    throw failed(`${wrong.length} of ${count} addresses in ${table} are wrong`, { causes });
  }
});
