// @about@. Its settings in lsrun.yml, with what they are without any, and what it needs:
//
//   plugins:
//     settings:
//       @name@:
//         config: {url: "${WEBHOOK_URL}", always: false}
//         grant: [http=hooks.example.com]
import { Request } from 'lsrun:host/http@0.1.0';
import { PluginError, bytes, plugin, settings } from './lsrun.js';

export const verified = plugin((verification) => {
  const { url, always } = settings({ url: '', always: false });
  const outcome = verification.outcome();
  if (outcome === 'passed' && !always) return;
  const database = verification.database()?.name() ?? verification.source();
  const last = verification.lastProved()?.rfc3339 ?? 'never';
  const text = `${verification.host()}: the backup of ${database}: ${outcome}; last proved good: ${last}`;
  const request = new Request('POST', url);
  request.setHeader('Content-Type', 'application/json');
  request.setBody(bytes(JSON.stringify({ text })));
  const status = request.send().status();
  if (status < 200 || status > 299) {
    throw new PluginError('unreachable', `the message was answered with ${status}`);
  }
});
