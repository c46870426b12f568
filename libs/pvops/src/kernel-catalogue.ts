/**
 * The catalogue that the guest kernel's build writes for each stage (docs/adr/004): where its functions, call sites, thunks and
 * saves are. Addresses are `0x` and 16 digits.
 */
export interface KernelCatalogue {
  readonly format: 1;
  readonly guest: string;
  readonly bits: 32 | 64;
  readonly stage: string;
  readonly symbols: Readonly<Record<string, string>>;
  readonly opTable: readonly CatalogueOp[];
  readonly functions: readonly CatalogueFunction[];
  readonly sites: readonly CatalogueSite[];
  readonly thunks: readonly CatalogueThunk[];
  readonly saves: readonly CatalogueSave[];
  readonly notSaves: readonly CatalogueNotSave[];
}

/** One slot of the op table; `address` is where the pointer lies. */
export interface CatalogueOp {
  readonly op: string;
  readonly type: number;
  readonly address: string;
  readonly calleeSave: boolean;
}

export interface CatalogueFunction {
  readonly name: string;
  readonly address: string;
  readonly slotBytes: number;
  readonly codeBytes: number;
  readonly kind: 'c' | 'asm' | 'op' | 'thunk' | 'entry' | 'user';
}

export interface CatalogueSite {
  readonly address: string;
  readonly length: number;
  readonly function: string;
  readonly op: string;
  readonly type: number;
  readonly clobbers: number;
  readonly recordType: 'c' | 'c-callee-save' | 'c-irq' | 'asm-call' | 'asm-jump';
  readonly innerSaves: readonly {
    readonly offset: number;
    readonly kind: 'save' | 'restore';
    readonly register: string;
  }[];
}

export interface CatalogueThunk {
  readonly name: string;
  readonly address: string;
  readonly bytes: number;
  readonly op: string;
}

export interface CatalogueSave {
  readonly address: string;
  readonly kind: 'save' | 'restore';
  readonly cause: 'callee-frame' | 'spill' | 'entry-frame';
  readonly function: string;
  readonly register: string;
}

export interface CatalogueNotSave {
  readonly address: string;
  readonly reason: string;
}

/** One optimisation's edits (docs/adr/004): content-addressed, applied in order. */
export interface PatchSet {
  readonly optimisation: string;
  readonly stage: string;
  readonly hash: string;
  readonly edits: readonly PatchSetEdit[];
}

export interface PatchSetEdit {
  readonly address: string;
  readonly section: string;
  readonly unit: string;
  readonly before: string;
  readonly after: string;
}

export interface PatchSetFile {
  readonly format: 1;
  readonly base: string;
  readonly sets: readonly PatchSet[];
}
