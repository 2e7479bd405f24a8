// @about@. Its settings in lsrun.yml, with what they are without any:
//
//   plugins: {settings: {@name@: {config: {standby: false}}}}
import { plugin, refused, settings } from './lsrun.js';

export const preReplicate = plugin((plan) => {
  if (settings({ standby: false }).standby) {
    const names = plan.databases().map((database) => database.name());
    throw refused(`this host is a standby for ${names.join(', ')}`);
  }
});
