import { describe, expect, it } from 'vitest';
import { address, catalogueWith, execute, siteAt } from './guest-code.js';

const irqSite = (op: string) => catalogueWith({ sites: [siteAt(0x10, op, 8, ['rdi'])] });
const returned = { at: 0x40, code: 'c3' };

describe('the register-save ledger', () => {
  it('counts the push and pop inside an unpatched irq site as in-site saves of the site and its op', () => {
    const unit = execute(irqSite('irq.restore_fl'), [
      { at: 0x10, code: '57ff1500000000' },
      { at: 0x17, code: '5fc3' },
    ]);
    expect(unit.perSite).toEqual([
      {
        address: address(0x10),
        function: 'sys_fork',
        op: 'irq.restore_fl',
        executions: 1,
        instructions: 3,
        nops: 0,
        saves: 1,
        restores: 1,
        thunkEntries: 0,
      },
    ]);
    expect(unit.perOp).toMatchObject([{ op: 'irq.restore_fl', executions: 1, siteSaves: 1, siteRestores: 1 }]);
    expect(unit.perCause[0]).toEqual({ cause: 'in-site', saves: 1, restores: 1 });
    expect(unit.ledger).toEqual({ saves: 1, restores: 1, notSaves: 0, foldedSaves: 0, stackMoves: 2 });
  });

  it('takes an inlined push; popf for no save, though the site was built with a push of the same register there', () => {
    const unit = execute(irqSite('irq.restore_fl'), [
      { at: 0x10, code: '579d' },
      { at: 0x12, code: '66660f1f4000c3' },
    ]);
    expect(unit.ledger).toEqual({ saves: 0, restores: 0, notSaves: 1, foldedSaves: 0, stackMoves: 1 });
    expect(unit.perSite).toMatchObject([{ executions: 1, instructions: 3, nops: 1, saves: 0 }]);
  });

  it('takes an inlined push; popf for no save even when a block ends between the two', () => {
    const nops = '90'.repeat(63);
    const catalogue = catalogueWith({ sites: [siteAt(63, 'irq.restore_fl', 8, ['rdi'])] });
    const unit = execute(catalogue, [
      { at: 0, code: `${nops}57` },
      { at: 64, code: '9d' },
    ]);
    expect(unit.ledger).toMatchObject({ saves: 0, notSaves: 1, stackMoves: 1 });
  });

  it('counts the push of an unpatched site even when a block ends behind it', () => {
    const nops = '90'.repeat(63);
    const catalogue = catalogueWith({ sites: [siteAt(63, 'irq.restore_fl', 8, ['rdi'])] });
    const unit = execute(catalogue, [
      { at: 0, code: `${nops}57` },
      { at: 64, code: 'ff1500000000' },
    ]);
    expect(unit.ledger).toMatchObject({ saves: 1, notSaves: 0, stackMoves: 1 });
  });

  it('takes an inlined pushf; pop for no save', () => {
    const unit = execute(irqSite('irq.save_fl'), [{ at: 0x10, code: '9c580f1f440000e900000000' }]);
    expect(unit.ledger).toEqual({ saves: 0, restores: 0, notSaves: 1, foldedSaves: 0, stackMoves: 1 });
  });

  it('finds no save in a site patched to a direct call', () => {
    const unit = execute(irqSite('irq.irq_disable'), [
      { at: 0x10, code: 'e8eb000000' },
      { at: 0x15, code: '0f1f00c3' },
    ]);
    expect(unit.perSite).toMatchObject([{ executions: 1, instructions: 2, nops: 1, saves: 0, restores: 0 }]);
    expect(unit.ledger.stackMoves).toBe(0);
  });

  it('refuses a pop in a site that neither the unpatched site nor a template explains', () => {
    expect(() => execute(irqSite('irq.save_fl'), [{ at: 0x10, code: '90905bc3' }])).toThrow(
      expect.objectContaining({ code: 'analysis/unclassified-save' }),
    );
  });

  it('attributes the pushes of a callee-save thunk to its op and the entry to the calling site', () => {
    const catalogue = catalogueWith({
      sites: [siteAt(0x10, 'mmu.pte_val', 5)],
      thunks: [{ name: '__raw_callee_save_x', address: address(0x100), bytes: 10, op: 'mmu.pte_val' }],
    });
    const unit = execute(catalogue, [
      { at: 0x10, code: 'e8eb000000' },
      { at: 0x100, code: '5152e800000000' },
      { at: 0x200, code: 'c3' },
      { at: 0x107, code: '5a59c3' },
      { at: 0x15, code: 'c3' },
      { at: 0x100, code: '5152e800000000' },
    ]);
    expect(unit.perSite).toMatchObject([{ executions: 1, thunkEntries: 1 }]);
    expect(unit.perOp).toMatchObject([
      { op: 'mmu.pte_val', thunkEntries: 2, thunkInstructions: 9, thunkSaves: 4, thunkRestores: 2 },
    ]);
    expect(unit.perCause[1]).toEqual({ cause: 'thunk', saves: 4, restores: 2 });
  });

  it('attributes frame, spill and entry saves to their function', () => {
    const catalogue = catalogueWith({
      saves: [
        { address: address(0), kind: 'save', cause: 'callee-frame', function: 'sys_fork', register: 'rbx' },
        { address: address(1), kind: 'save', cause: 'spill', function: 'sys_fork', register: 'rax' },
        { address: address(6), kind: 'restore', cause: 'entry-frame', function: 'sys_fork', register: 'rax' },
        { address: address(11), kind: 'restore', cause: 'callee-frame', function: 'sys_fork', register: 'rbx' },
      ],
    });
    const unit = execute(catalogue, [{ at: 0, code: '534889442408488b4424085bc3' }]);
    expect(unit.perFunction).toMatchObject([
      {
        function: 'sys_fork',
        entries: 1,
        calleeFrameSaves: 1,
        calleeFrameRestores: 1,
        spillSaves: 1,
        spillRestores: 0,
        entryFrameSaves: 0,
        entryFrameRestores: 1,
      },
    ]);
    expect(unit.ledger).toEqual({ saves: 2, restores: 2, notSaves: 0, foldedSaves: 0, stackMoves: 4 });
  });

  it('counts an instruction that updates a spill slot as a restore and a save', () => {
    const spill = { address: address(0), cause: 'spill', function: 'sys_fork', register: 'rax' } as const;
    const catalogue = catalogueWith({
      saves: [
        { ...spill, kind: 'restore' },
        { ...spill, kind: 'save' },
      ],
    });
    const unit = execute(catalogue, [{ at: 0, code: '4801442408c3' }]);
    expect(unit.ledger).toEqual({ saves: 1, restores: 1, notSaves: 0, foldedSaves: 1, stackMoves: 1 });
  });

  it('counts what the catalogue calls no save, and no more', () => {
    const catalogue = catalogueWith({ notSaves: [{ address: address(0), reason: 'argument-push' }] });
    const unit = execute(catalogue, [{ at: 0, code: '51c3' }]);
    expect(unit.ledger).toEqual({ saves: 0, restores: 0, notSaves: 1, foldedSaves: 0, stackMoves: 1 });
  });

  it('refuses an executed push that the catalogue does not know, with address and bytes', () => {
    expect(() => execute(catalogueWith({}), [{ at: 8, code: '90415790c3' }])).toThrow(
      expect.objectContaining({
        code: 'analysis/unclassified-save',
        details: { address: address(9), bytes: '4157' },
      }),
    );
  });

  it('refuses a save in the catalogue where the executed instruction does not use the stack', () => {
    const save = { address: address(0), kind: 'save', cause: 'spill', function: 'sys_fork', register: 'rax' } as const;
    expect(() => execute(catalogueWith({ saves: [save] }), [{ at: 0, code: '90c3' }])).toThrow(
      expect.objectContaining({ code: 'analysis/unclassified-save' }),
    );
  });

  it('counts only the saves of the instructions that retired', () => {
    const push = { kind: 'save', cause: 'callee-frame', function: 'sys_fork', register: 'rbx' } as const;
    const catalogue = catalogueWith({
      saves: [0, 1, 2].map((at) => ({ ...push, address: address(at) })),
    });
    const unit = execute(catalogue, [{ at: 0, code: '535350c3', retired: 2 }]);
    expect(unit.perCause[2]).toEqual({ cause: 'callee-frame', saves: 2, restores: 0 });
    expect(unit.totals.kernel.instructions).toBe(2);
  });

  it('leaves user mode out', () => {
    const unit = execute(catalogueWith({}), [{ at: 0, code: '535bc3', user: true }]);
    expect(unit.ledger.stackMoves).toBe(0);
    expect(unit.totals.user.instructions).toBe(3);
  });

  it('does not judge a push that was never executed', () => {
    const unit = execute(catalogueWith({}), [{ at: 0, code: '9053c3', retired: 1 }, returned]);
    expect(unit.totals.kernel.instructions).toBe(2);
  });
});
