// @about@.
import { log, plugin } from './lsrun.js';

export const notRestored = plugin((plan, reason) => {
  log('warning', `nothing was restored from ${plan.source()}: ${reason.message}`);
});
