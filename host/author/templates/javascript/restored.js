// @about@.
import { log, plugin } from './lsrun.js';

export const restored = plugin((plan, replaced) => {
  const kept = replaced.kept();
  const old = kept ? `; the old one is ${kept}` : '';
  log('info', `${replaced.path()} is restored from ${plan.source()}${old}`);
});
