import { fromHex, parseVirt } from '@pvtrail/primitives';
import { outcomeCounts, type SiteRow } from '@pvtrail/reporting';
import { disassemble } from '@pvtrail/x86';
import Table from 'cli-table3';

const assembly = (bytes: string, address: string, bits: 32 | 64): string =>
  disassemble(fromHex(bytes), parseVirt(address), bits)
    .map(({ text }) => text)
    .join('; ');

export const siteTable = (sites: readonly SiteRow[], bits: 32 | 64): string => {
  const table = new Table({
    head: ['address', 'function', 'op', 'record', 'mask', 'before', 'after', 'outcome', 'executions'],
    colAligns: ['left', 'left', 'left', 'left', 'right', 'left', 'left', 'left', 'right'],
    style: { head: [], border: [] },
  });
  for (const site of sites) {
    const { address, op, recordType, clobbers, bytesBefore, bytesAfter, outcome, reason, executions } = site;
    table.push([
      address,
      site.function,
      op,
      recordType,
      `0x${clobbers.toString(16)}`,
      assembly(bytesBefore, address, bits),
      bytesAfter === bytesBefore ? '=' : assembly(bytesAfter, address, bits),
      reason === null ? outcome : `${outcome}: ${reason}`,
      executions,
    ]);
  }
  const summary = [...outcomeCounts(sites)].map(([name, count]) => `${count} ${name}`).join(', ');
  return `${table.toString()}\n${sites.length} call sites: ${summary}\n`;
};
