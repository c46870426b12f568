import { describe, expect, it } from 'vitest';
import { Vector } from '../src/guest-fault.js';
import type { Machine } from '../src/index.js';
import {
  CODE_AT,
  FAULTS,
  fault,
  GDT,
  MARKER,
  machine64,
  movEax,
  SELECTORS,
  TSS,
  userMachine64,
  wordsAt,
} from './machine-64.js';

const UD2 = [0x0f, 0x0b];
const CPUID = [0x0f, 0xa2];
const RDTSC = [0x0f, 0x31];
const DATA_AT = CODE_AT + 0x800;
/** An operand [DATA_AT] with this register field (SDM vol. 2, 2.1.5). */
const memory = (field: number): number[] => [0x04 | (field << 3), 0x25, 0, 8, 1, 0];
const memoryAfter10 = (field: number): number[] => [0x04 | (field << 3), 0x25, 10, 8, 1, 0];

describe('lgdt and lidt', () => {
  it.each([
    ['lgdt', 2, 'gdtr', 0],
    ['lidt', 3, 'idtr', 1],
  ] as const)('%s loads base and limit; the same come out again', (_name, load, register, store) => {
    const machine = machine64([0x0f, 0x01, ...memory(load), 0x0f, 0x01, ...memoryAfter10(store), ...MARKER]);
    const table = [0x3f, 0x02, 0x78, 0x56, 0x34, 0x12, 0x00, 0x88, 0xff, 0xff];
    machine.ram.set(table, DATA_AT);
    expect(machine.run().kind).toBe('marker');
    expect(machine.cpu[register]).toEqual({ base: 0xffff880012345678n, limit: 0x23f });
    expect([...machine.ram.subarray(DATA_AT + 10, DATA_AT + 20)]).toEqual(table);
  });
});

describe('ltr', () => {
  const LTR = [0x0f, 0x00, 0xd8];
  const loaded = (selector: number, prepare: (view: DataView) => void = () => {}): Machine => {
    const machine = machine64([...movEax(selector), ...LTR, 0x0f, 0x00, 0xc8, ...UD2], FAULTS);
    prepare(new DataView(machine.ram.buffer, machine.ram.byteOffset));
    machine.cpu.tr = { base: 0n, limit: 0 };
    return machine;
  };

  it('loads base and limit of a TSS, which is busy from then on; str says which', () => {
    const machine = loaded(SELECTORS.tss);
    expect(machine.run()).toEqual(fault(Vector.undefinedOpcode));
    expect(machine.cpu.tr).toEqual({ base: BigInt(TSS), limit: 0x67 });
    expect(machine.cpu.gpr(0)).toBe(BigInt(SELECTORS.tss));
    expect((wordsAt(machine, BigInt(GDT + SELECTORS.tss), 1)[0] ?? 0n) >> 40n).toBe(0x8bn);
  });

  it.each<[string, number, number, number, ((view: DataView) => void)?]>([
    ['no selector', 0, Vector.generalProtection, 0],
    ['a selector beyond the table', 0x50, Vector.generalProtection, 0x50],
    ['a segment of code', SELECTORS.kernelCode, Vector.generalProtection, SELECTORS.kernelCode],
    ['a busy TSS', SELECTORS.tss, Vector.generalProtection, SELECTORS.tss, (view) => view.setUint8(GDT + 0x45, 0x8b)],
    [
      'a TSS that is not present',
      SELECTORS.tss,
      Vector.segmentNotPresent,
      SELECTORS.tss,
      (view) => view.setUint8(GDT + 0x45, 9),
    ],
  ])('refuses %s', (_what, selector, vector, errorCode, prepare) => {
    const machine = loaded(selector, prepare);
    expect(machine.run()).toEqual(fault(vector, errorCode));
    expect([machine.cpu.rip, machine.cpu.tr]).toEqual([BigInt(CODE_AT + 5), { base: 0n, limit: 0 }]);
  });
});

describe('loads of segment registers', () => {
  const MOV_FS = [0x8e, 0xe0];

  it('fs takes the base of its descriptor, and 0 without one', () => {
    const machine = machine64([...movEax(0x48), ...MOV_FS, ...MARKER]);
    new DataView(machine.ram.buffer, machine.ram.byteOffset).setBigUint64(GDT + 0x48, 0x12cff3345678ffffn, true);
    expect(machine.run().kind).toBe('marker');
    expect(machine.cpu.fsBase).toBe(0x12345678n);
    const none = machine64([...movEax(0), ...MOV_FS, ...MARKER]);
    none.cpu.fsBase = 5n;
    expect(none.run().kind).toBe('marker');
    expect(none.cpu.fsBase).toBe(0n);
  });

  it('refuses a segment that is not present or beyond the table', () => {
    expect(machine64([...movEax(0x48), ...MOV_FS], FAULTS).run()).toEqual(fault(Vector.segmentNotPresent, 0x48));
    expect(machine64([...movEax(0x50), ...MOV_FS], FAULTS).run()).toEqual(fault(Vector.generalProtection, 0x50));
  });
});

describe('invlpg', () => {
  it('makes the next access see what the tables say now', () => {
    const PD = 0x3000;
    const at = 0x210000;
    // mov eax, [at]; mov ebx, eax; mov dword [PD + 8], PRESENT WRITABLE LARGE of 0; invlpg [at]; mov eax, [at]
    const load = [0x8b, 0x04, 0x25, 0, 0, 0x21, 0];
    const store = [0xc7, 0x04, 0x25, 8, 0x30, 0, 0, 0x83, 0, 0, 0];
    const invlpg = [0x0f, 0x01, 0x3c, 0x25, 0, 0, 0x21, 0];
    const machine = machine64([...load, 0x89, 0xc3, ...store, ...invlpg, ...load, ...MARKER]);
    const view = new DataView(machine.ram.buffer, machine.ram.byteOffset);
    view.setBigUint64(PD + 8, 0x200083n, true);
    view.setUint32(at, 111, true);
    expect(machine.run()).toEqual({ kind: 'marker', code: view.getUint32(CODE_AT, true) });
    expect(machine.cpu.gpr(3)).toBe(111n);
  });
});

describe('cpuid', () => {
  const leaf = (eax: number): bigint[] => {
    const machine = machine64([...movEax(eax), ...CPUID, ...MARKER]);
    for (const register of [0, 1, 2, 3]) machine.cpu.setGpr(register, 0xffffffffffffffffn);
    expect(machine.run().kind).toBe('marker');
    return [0, 3, 1, 2].map((register) => machine.cpu.gpr(register));
  };
  const text = (word: bigint): string =>
    String.fromCharCode(...[0n, 8n, 16n, 24n].map((shift) => Number((word >> shift) & 0xffn)));

  it('names an Intel processor of family 6', () => {
    const [highest, ebx = 0n, ecx = 0n, edx = 0n] = leaf(0);
    expect(text(ebx) + text(edx) + text(ecx)).toBe('GenuineIntel');
    expect(highest).toBe(1n);
    expect(((leaf(1)[0] ?? 0n) >> 8n) & 0xfn).toBe(6n);
  });

  it.each([
    ['PSE', 1, 3n],
    ['TSC', 1, 4n],
    ['MSR', 1, 5n],
    ['PAE', 1, 6n],
    ['CX8', 1, 8n],
    ['PGE', 1, 13n],
    ['CMOV', 1, 15n],
    ['SYSCALL', 0x80000001, 11n],
    ['NX', 0x80000001, 20n],
    ['LM', 0x80000001, 29n],
  ])('has %s', (_feature, number, bit) => {
    expect(((leaf(number)[3] ?? 0n) >> bit) & 1n).toBe(1n);
  });

  it('has 36 bits of physical and 48 of virtual addresses, and nothing in leaves that it lacks', () => {
    expect(leaf(0x80000008)[0]).toBe(0x3024n);
    expect(leaf(7)).toEqual([0n, 0n, 0n, 0n]);
  });

  it('may be asked in ring 3', () => {
    expect(userMachine64([...CPUID, ...UD2], FAULTS).run()).toEqual(fault(Vector.undefinedOpcode));
  });
});

describe('rdtsc', () => {
  const twice = (machine: Machine): [bigint, bigint] => {
    machine.run();
    return [machine.cpu.gpr(6), machine.cpu.gpr(0)];
  };
  const READ_TWICE = [...RDTSC, 0x48, 0x89, 0xc6, 0x90, 0x90, ...RDTSC];

  it('counts 100 for each read in ring 0, whatever is executed between', () => {
    expect(twice(machine64([...READ_TWICE, ...MARKER]))).toEqual([100n, 200n]);
  });

  it('counts retired instructions of ring 3 too, the same in every machine', () => {
    const [first, second] = twice(userMachine64([...READ_TWICE, ...UD2], FAULTS));
    // at the last block boundary: rdtsc ends a block, so the first one is counted, and not what stands between
    expect(second - first).toBe(101n);
    expect(twice(userMachine64([...READ_TWICE, ...UD2], FAULTS))).toEqual([first, second]);
  });

  it('goes on beyond 32 bits', () => {
    const machine = machine64([...RDTSC, ...MARKER]);
    machine.cpu.setU64('timeStampReads', (1n << 32n) - 1n);
    expect(machine.run().kind).toBe('marker');
    expect((machine.cpu.gpr(2) << 32n) | machine.cpu.gpr(0)).toBe(100n << 32n);
  });

  it('is privileged when CR4 says so', () => {
    const machine = userMachine64(RDTSC, FAULTS);
    machine.cpu.cr4 |= 4n;
    expect(machine.run()).toEqual(fault(Vector.generalProtection));
  });
});
