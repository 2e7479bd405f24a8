// @about@. Its settings in lsrun.yml, with what they are without any:
//
//   plugins: {settings: {@name@: {config: {most_ahead: 0}}}}
import { plugin, refused, settings } from './lsrun.js';

export const preRestore = plugin((plan) => {
  const ahead = plan.present()?.ahead();
  if (ahead > settings({ most_ahead: 0 }).most_ahead) {
    throw refused(`the current database has ${ahead} transactions more`);
  }
});
