// An example of a `verified` hook: posts to a webhook, in the form that Slack, Mattermost
// and others read, when a backup is not good, and when it is good again. Its settings, and
// what it has to be granted:
//
//   plugins:
//     settings:
//       webhook:
//         config: {url: "${WEBHOOK_URL}"}
//         grant: [http=hooks.example.com]
import * as history from 'lsrun:host/history@0.1.0';
import { Request } from 'lsrun:host/http@0.1.0';
import { PluginError, bytes, plugin, settings } from './lsrun.js';

// What the command found before this time; nothing the first time.
function before(verification, database) {
  if (!database) return undefined;
  const past = history.results(database, 20);
  return past.find((result) => result.command() === verification.command())?.outcome();
}

function text(verification, name, outcome) {
  const lines = [`${verification.host()}: the backup of ${name}: ${outcome}`];
  for (const check of verification.checks()) {
    const bad = ['failed', 'inconclusive'].includes(check.outcome());
    if (bad && !check.optional()) lines.push(`• ${check.id()}: ${check.message()}`);
  }
  const error = verification.error();
  if (error) lines.push(`• ${error.message}`);
  lines.push(`last proved good: ${verification.lastProved()?.rfc3339 ?? 'never'}`);
  return lines.join('\n');
}

export const verified = plugin((verification) => {
  const { url } = settings({ url: '' });
  const [outcome, database] = [verification.outcome(), verification.database()];
  const wasGood = ['passed', undefined].includes(before(verification, database));
  if (outcome === 'skipped' || (outcome === 'passed' && wasGood)) return;
  const name = database?.name() ?? verification.source();
  const request = new Request('POST', url);
  request.setHeader('Content-Type', 'application/json');
  request.setBody(bytes(JSON.stringify({ text: text(verification, name, outcome) })));
  const status = request.send().status();
  if (status < 200 || status > 299) {
    throw new PluginError('unreachable', `the webhook answered with ${status}`);
  }
});
