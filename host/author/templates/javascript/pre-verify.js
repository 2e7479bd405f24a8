// @about@. Its settings in lsrun.yml, with what they are without any:
//
//   plugins: {settings: {@name@: {config: {paused: false}}}}
import { plugin, refused, settings } from './lsrun.js';

export const preVerify = plugin((plan) => {
  if (settings({ paused: false }).paused) {
    throw refused(`${plan.command()} is paused in lsrun.yml`);
  }
});
