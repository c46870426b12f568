import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { openKafkaLog } from '../../src/index.js';
import { skipped, useBroker } from './use-broker.js';

const PASSWORD = 'not-a-secret';
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'pvtrail-tls-'));
const keystore = path.join(folder, 'broker.p12');
const truststore = path.join(folder, 'trusted.p12');

const keytool = (store: string, args: readonly string[], input = ''): string => {
  const { status, stdout, stderr } = spawnSync('keytool', [...args, '-keystore', store, '-storepass', PASSWORD], {
    encoding: 'utf8',
    input,
  });
  if (status !== 0) throw new Error(`keytool: ${stdout}${stderr}`);
  return stdout;
};

/** Makes the broker's key and has the broker trust itself. @returns the certificate in PEM */
const certificate = (): string => {
  const identity = ['-alias', 'broker', '-dname', 'CN=broker', '-ext', 'san=ip:127.0.0.1'];
  keytool(keystore, ['-genkeypair', '-keyalg', 'EC', '-validity', '2', '-storetype', 'PKCS12', ...identity]);
  const pem = keytool(keystore, ['-exportcert', '-rfc', '-alias', 'broker']);
  keytool(truststore, ['-importcert', '-noprompt', '-alias', 'broker', '-storetype', 'PKCS12'], pem);
  return pem;
};

const login = 'org.apache.kafka.common.security.plain.PlainLoginModule required';

describe.skipIf(skipped !== '')(`TLS and SASL ${skipped}`, () => {
  const ca = skipped === '' ? certificate() : '';
  const kafka = useBroker({
    'listener.security.protocol.map': 'CLIENT:SASL_SSL,CONTROLLER:PLAINTEXT',
    'sasl.enabled.mechanisms': 'PLAIN',
    'sasl.mechanism.inter.broker.protocol': 'PLAIN',
    'listener.name.client.plain.sasl.jaas.config': `${login} username="pvtrail" password="${PASSWORD}" user_pvtrail="${PASSWORD}";`,
    'ssl.keystore.type': 'PKCS12',
    'ssl.keystore.location': keystore,
    'ssl.keystore.password': PASSWORD,
    'ssl.truststore.type': 'PKCS12',
    'ssl.truststore.location': truststore,
    'ssl.truststore.password': PASSWORD,
  });
  afterAll(() => fs.rmSync(folder, { recursive: true }));

  const sasl = { mechanism: 'plain', username: 'pvtrail', password: PASSWORD } as const;

  it('a client that knows the authority and the password can publish and consume', async () => {
    const log = await kafka.open(kafka.options({ tls: { ca }, sasl }));
    await log.publish('secure.v1', [{ key: 'k', value: Buffer.from('x'), headers: {} }]);
    let seen = 0;
    const retry = { attempts: 1, firstDelayMs: 0, maxDelayMs: 0 };
    const consumer = log.consume(
      { group: 'secure', topics: ['secure.v1'], maxRecords: 10, maxBytes: 1 << 20, retry },
      async ({ records }) => {
        seen += records.length;
        return undefined;
      },
    );
    await consumer.drained();
    expect(seen).toBe(1);
  });

  it('a wrong password is a wrong configuration, said at once', async () => {
    const options = kafka.options({ tls: { ca }, sasl: { ...sasl, password: 'wrong' } });
    await expect(openKafkaLog(options)).rejects.toEqual(expect.objectContaining({ code: 'config/invalid' }));
  });

  it('a certificate of an authority that is not known is a wrong configuration, said at once', async () => {
    await expect(openKafkaLog(kafka.options({ tls: {}, sasl }))).rejects.toEqual(
      expect.objectContaining({ code: 'config/invalid' }),
    );
  });
});
