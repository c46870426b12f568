// Starts telemetry with the environment given, makes a span and a message, stops within the milliseconds in the first argument;
// prints the OpenTelemetry packages that were loaded, the message's headers and how long stopping took.
import { registerHooks } from 'node:module';

const loaded = new Set();
registerHooks({
  load: (url, context, next) => {
    const [, name] = /node_modules\/(@opentelemetry\/[^/]+)\//.exec(url) ?? [];
    if (name !== undefined) loaded.add(name);
    return next(url, context);
  },
});
const { sending, startTelemetry, withSpan } = await import('../../dist/index.js');
const telemetry = await startTelemetry('child', process.env);
let headers;
await withSpan('run', {}, () =>
  sending('memory', 'topic', [{ key: 'k', value: new Uint8Array(), headers: {} }], async ([message]) => {
    headers = message?.headers;
  }),
);
const stopping = performance.now();
await telemetry.stop(...process.argv.slice(2).map(Number));
const stopMs = performance.now() - stopping;
process.stdout.write(JSON.stringify({ loaded: [...loaded].sort(), headers, stopMs }), () => process.exit());
