// Imports go one way (docs/architecture.md). The check runs on the compiled output of every package.
const LAYERS = {
  primitives: [],
  x86: ['primitives'],
  pvops: ['primitives', 'x86'],
  trace: ['primitives', 'x86'],
  emulator: ['primitives', 'x86', 'pvops', 'trace'],
  guests: ['primitives', 'x86', 'pvops', 'trace', 'emulator'],
  contracts: ['primitives', 'pvops'],
  analysis: ['primitives', 'x86', 'trace', 'pvops', 'contracts'],
  'kafka-local': ['primitives'],
  telemetry: ['primitives'],
  'event-log': ['primitives', 'contracts', 'telemetry'],
  'column-store': ['primitives', 'contracts'],
  service: ['primitives', 'contracts', 'telemetry', 'event-log', 'column-store'],
  reporting: ['primitives', 'trace', 'contracts', 'analysis', 'event-log', 'column-store'],
};

const PURE = ['primitives', 'x86', 'pvops', 'trace', 'emulator', 'guests', 'contracts', 'analysis'];

/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [
    { name: 'no-cycle', severity: 'error', from: {}, to: { circular: true } },
    { name: 'not-resolvable', severity: 'error', from: {}, to: { couldNotResolve: true } },
    ...Object.entries(LAYERS).map(([library, allowed]) => ({
      name: `layer-${library}`,
      severity: 'error',
      from: { path: `^libs/${library}/dist/`, pathNot: '\\.spec\\.js$' },
      to: { path: '^(libs|apps)/', pathNot: `^libs/(${[library, ...allowed].join('|')})/` },
    })),
    {
      name: 'apps-only-by-the-cli',
      comment: 'an app never imports an app; the CLI composes their root modules',
      severity: 'error',
      from: { path: '^apps/([^/]+)/', pathNot: '^apps/cli/' },
      to: { path: '^apps/', pathNot: '^apps/$1/' },
    },
    {
      name: 'opentelemetry-behind-telemetry',
      comment: 'adapters and apps trace and measure through libs/telemetry; its SDK is loaded on demand',
      severity: 'error',
      from: { pathNot: '^libs/telemetry/|node_modules/' },
      to: { path: 'node_modules/@opentelemetry/' },
    },
    {
      name: 'sdk-on-demand',
      comment: 'what everybody imports of libs/telemetry knows the API alone',
      severity: 'error',
      from: { path: '^libs/telemetry/dist/', pathNot: '^libs/telemetry/dist/(sdk\\.js|testing/)' },
      to: { path: 'node_modules/@opentelemetry/', pathNot: 'node_modules/@opentelemetry/api/' },
    },
    {
      name: 'pure-in-the-middle',
      comment: 'no files, no network, no framework in the pure libraries',
      severity: 'error',
      from: { path: `^libs/(${PURE.join('|')})/dist/`, pathNot: '/dist/node(/|\\.js$)' },
      to: {
        path: '^(fs|net|http|https|child_process|worker_threads|@nestjs/|kafkajs|chdb|@clickhouse/)',
        pathNot: '^(crypto|zlib)$',
      },
    },
  ],
  options: {
    includeOnly: '^(libs|apps)/[^/]+/dist/.*\\.js$|^(fs|net|http|https|child_process|worker_threads)$|node_modules',
    doNotFollow: { path: 'node_modules' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'default'] },
    exclude: { path: '\\.spec\\.js$' },
  },
};
