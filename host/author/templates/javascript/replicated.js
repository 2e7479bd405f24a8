// @about@.
import { log, plugin } from './lsrun.js';

export const replicated = plugin((replication) => {
  const [reason, code] = [replication.reason(), replication.exitCode()];
  log('info', `the replication is over: ${reason} (code ${code})`);
});
