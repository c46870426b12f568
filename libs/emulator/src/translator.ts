import type { RawBlock } from '@pvtrail/trace';
import type { Bits, DecodedBlock } from './decode.js';
import { discoverFragment, type Fragment, pageOf, samePage } from './fragment.js';
import { type EmitterContext, FunctionEmitter, fragmentParameters, type Helpers } from './lift/function-emitter.js';
import { TABLE_SIZE } from './runtime-module.js';
import { SiteTable } from './sites.js';
import { ExitReason, gprAddress, RAW_BLOCKS, REGION, SITE_TABLE, STATE } from './state-layout.js';
import { FragmentWriter, type Linker, type Target, writeCareful } from './structure.js';
import { CodeWriter, I32, I64, ModuleWriter, Op } from './wasm-writer.js';

const MAX_FRAGMENTS = 300;
const SITES_BEFORE_RESTART = SITE_TABLE.entries / 2;
/** Units put aside that are kept: those of about two kernels. */
const MAX_ASIDE = 700;
const PAGE_SHIFT = 12;
const PAGE_BYTES = 1 << PAGE_SHIFT;

/** Where control can arrive: an address in one mode, for user code on one physical page. */
interface Entry {
  readonly slot: number;
  readonly address: number;
  readonly user: boolean;
  unit: Unit | undefined;
}

/**
 * The functions of one module. They are put aside together when the text of one of them changes, and put back when control reaches
 * one of them while the text is as it was.
 */
interface Unit {
  readonly entries: Entry[];
  readonly blocks: Set<DecodedBlock>;
  readonly carefulKeys: number[];
  /** Entries of other units, or of none, whose slots the module fills with stubs. */
  readonly stubs: Entry[];
  module: WebAssembly.Module | undefined;
}

/** What the translator needs of the machine. */
export interface TranslatorHost {
  readonly memory: WebAssembly.Memory;
  readonly memoryPages: number;
  readonly bits: Bits;
  readonly record: boolean;
  readonly passedRegisters: readonly number[];
  /** Functions that generated code imports under `h`. */
  readonly helpers: WebAssembly.ModuleImports;
  readonly table: WebAssembly.Table;
  /** The block at an address as mapped now, without effect on the page tables. */
  fetch(address: number, user: boolean): DecodedBlock | undefined;
  /** Where an address is mapped for fetches now, or -1; without effect on the page tables. */
  physicalOf(address: number, user: boolean): number;
  /** The page now holds translated code: stores to it must be noticed. */
  protect(physPage: number): void;
  unprotect(physPage: number): void;
}

/** Gives every address that control reaches a table slot with code in it, and takes the code away when the text changes. */
export class Translator {
  readonly blocks: RawBlock[] = [];
  readonly sites: SiteTable;
  translations = 0;
  readonly #host: TranslatorHost;
  readonly #kernel = new Map<number, Entry>();
  /** By physical page of the first byte (and of the second one, when the entry's block crosses), then by address. */
  readonly #user = new Map<number, Map<number, Entry>>();
  /** By slot; careful functions have none. */
  readonly #entries: Entry[] = [];
  /** By block and part: the slot, which stays, and whether there is code in it. */
  readonly #careful = new Map<number, { readonly slot: number; ready: boolean }>();
  readonly #decoded = new Map<RawBlock, DecodedBlock>();
  readonly #rawBlocks = new Map<string, RawBlock[]>();
  readonly #unitsOfPage = new Map<number, Set<Unit>>();
  /** Units put aside, by each entry, and all of them, the longest there first. */
  readonly #aside = new Map<Entry, Unit[]>();
  readonly #allAside = new Set<Unit>();
  readonly #ram: Uint8Array;
  readonly #blockInstructions: Uint8Array;
  #nextSlot = 0;

  constructor(host: TranslatorHost) {
    this.#host = host;
    this.sites = new SiteTable(host.memory);
    this.#ram = new Uint8Array(host.memory.buffer, REGION.ram);
    this.#blockInstructions = new Uint8Array(host.memory.buffer, REGION.blockInstructions, RAW_BLOCKS);
  }

  /** The slot of translated code at an address that is mapped to `phys` now; undefined when there is none, or when its block crosses pages. */
  translatedSlot(address: number, phys: number, user: boolean): number | undefined {
    const entry = this.findEntry(address, user, phys >>> PAGE_SHIFT);
    return entry?.unit === undefined ? undefined : entry.slot;
  }

  /** Whether more than a stub is in the slot of an entry: a jump cache may name one whose code has been put aside. */
  hasCode(slot: number): boolean {
    return this.#entries[slot]?.unit !== undefined;
  }

  /** The slot for a block that was just fetched; translates what is missing. */
  slotFor(block: DecodedBlock, user: boolean): number {
    if (this.sites.length > SITES_BEFORE_RESTART) this.#restart();
    const entry = this.entryFor(block.address, user, userKey(block, user));
    if (entry.unit === undefined && !this.#putBack(entry, block)) new UnitBuilder(this, this.#host, user).build(block);
    return entry.slot;
  }

  /** The slot of a function that does `count` instructions of a block from `first` on, without recording the block itself. */
  carefulSlot(raw: RawBlock, first: number, count: number): number {
    const key = (raw.rawId * 65 + first) * 65 + count;
    const careful = this.#careful.get(key) ?? { slot: this.takeSlot(), ready: false };
    if (careful.ready) return careful.slot;
    const decoded = this.#decoded.get(raw);
    if (decoded === undefined) throw new Error('the block has never been decoded');
    new UnitBuilder(this, this.#host, raw.user).buildCareful(raw, decoded, first, count, careful.slot, key);
    careful.ready = true;
    this.#careful.set(key, careful);
    return careful.slot;
  }

  /** Puts aside code that was made from any of these bytes; true when there was some. */
  invalidate(phys: number, length: number): boolean {
    const dropped = new Set<Unit>();
    for (let page = phys >>> PAGE_SHIFT; page <= (phys + length - 1) >>> PAGE_SHIFT; page += 1) {
      for (const unit of this.#unitsOfPage.get(page) ?? []) {
        for (const block of unit.blocks) if (overlaps(block, phys, length)) dropped.add(unit);
      }
    }
    this.#putAside(dropped);
    return dropped.size > 0;
  }

  /** Puts all code aside. */
  invalidateAll(): void {
    const units = new Set<Unit>();
    for (const list of this.#unitsOfPage.values()) for (const unit of list) units.add(unit);
    this.#putAside(units);
  }

  /** Sites are numbered on and on: when their table is nearly full, all code is made anew. */
  #restart(): void {
    this.invalidateAll();
    this.#aside.clear();
    this.#allAside.clear();
    this.sites.clear();
  }

  #putAside(units: ReadonlySet<Unit>): void {
    if (units.size === 0) return;
    const lost: Entry[] = [];
    for (const unit of units) {
      for (const entry of unit.entries) {
        if (entry.unit === unit) {
          entry.unit = undefined;
          lost.push(entry);
        }
        const aside = this.#aside.get(entry);
        if (aside === undefined) this.#aside.set(entry, [unit]);
        else aside.push(unit);
      }
      if (unit.entries.length > 0) this.#allAside.add(unit);
      for (const key of unit.carefulKeys) this.#forgetCareful(key);
      for (const page of pagesOf(unit.blocks)) {
        const list = this.#unitsOfPage.get(page);
        list?.delete(unit);
        if (list?.size === 0) this.#host.unprotect(page);
      }
    }
    if (lost.length > 0) this.#fillWithStubs(lost);
    for (const unit of this.#allAside) {
      if (this.#allAside.size <= MAX_ASIDE) break;
      this.#takeFromAside(unit);
    }
  }

  #takeFromAside(unit: Unit): void {
    this.#allAside.delete(unit);
    for (const entry of unit.entries) {
      const others = this.#aside.get(entry)?.filter((other) => other !== unit) ?? [];
      if (others.length === 0) this.#aside.delete(entry);
      else this.#aside.set(entry, others);
    }
  }

  #forgetCareful(key: number): void {
    const careful = this.#careful.get(key);
    if (careful !== undefined) careful.ready = false;
  }

  /** Takes a unit into use again whose text stands where it was made from. */
  #putBack(entry: Entry, block: DecodedBlock): boolean {
    const unit = this.#aside.get(entry)?.find((candidate) => this.#stands(candidate, entry, block));
    if (unit?.module === undefined) return false;
    this.#takeFromAside(unit);
    for (const own of unit.entries) own.unit = unit;
    const { table } = this.#host;
    const kept = unit.stubs
      .filter((stub) => stub.unit !== undefined)
      .map(({ slot }) => [slot, table.get(slot)] as const);
    instantiate(this.#host, unit.module);
    for (const [slot, code] of kept) table.set(slot, code);
    this.register(unit);
    return true;
  }

  /** Whether all bytes of a unit are in memory, at addresses that lead there. */
  #stands(unit: Unit, { user }: Entry, fetched: DecodedBlock): boolean {
    const pages = new Map<number, number>();
    for (const block of unit.blocks) {
      if (!this.#bytesStand(block)) return false;
      pages.set(pageOf(block.address), block.phys >>> PAGE_SHIFT);
      if (block.physNextPage !== 0) pages.set(pageOf(block.address) + 1, block.physNextPage >>> PAGE_SHIFT);
    }
    pages.delete(pageOf(fetched.address));
    for (const [page, physPage] of pages) {
      if (this.#host.physicalOf(page * PAGE_BYTES, user) >> PAGE_SHIFT !== physPage) return false;
    }
    return true;
  }

  #bytesStand({ bytes, phys, physNextPage }: DecodedBlock): boolean {
    const inFirst = physNextPage === 0 ? bytes.length : PAGE_BYTES - (phys & (PAGE_BYTES - 1));
    const ram = this.#ram;
    for (let index = 0; index < bytes.length; index += 1) {
      const at = index < inFirst ? phys + index : physNextPage + index - inFirst;
      if (ram[at] !== bytes[index]) return false;
    }
    return true;
  }

  #fillWithStubs(entries: readonly Entry[]): void {
    const module = new ModuleBuilder(this.#host);
    for (const entry of entries) module.stub(entry.address, entry.slot);
    module.instantiate();
  }

  register(unit: Unit): void {
    for (const page of pagesOf(unit.blocks)) {
      const list = this.#unitsOfPage.get(page);
      if (list === undefined) this.#unitsOfPage.set(page, new Set([unit]));
      else list.add(unit);
      this.#host.protect(page);
    }
  }

  takeSlot(): number {
    if (this.#nextSlot >= TABLE_SIZE) throw new RangeError(`more than ${TABLE_SIZE} entry points of guest code`);
    return this.#nextSlot++;
  }

  findEntry(address: number, user: boolean, key: number): Entry | undefined {
    return user ? this.#user.get(key)?.get(address) : this.#kernel.get(address);
  }

  #newEntry(address: number, user: boolean, key: number): Entry {
    const entry: Entry = { slot: this.takeSlot(), address, user, unit: undefined };
    this.#entries[entry.slot] = entry;
    if (!user) {
      this.#kernel.set(address, entry);
      return entry;
    }
    const onPage = this.#user.get(key) ?? new Map<number, Entry>();
    onPage.set(address, entry);
    this.#user.set(key, onPage);
    return entry;
  }

  entryFor(address: number, user: boolean, key: number): Entry {
    return this.findEntry(address, user, key) ?? this.#newEntry(address, user, key);
  }

  /** The identity of a block in the raw trace: equal address, place, bytes and mode give the same one. */
  rawBlock(block: DecodedBlock, user: boolean): RawBlock {
    const key = `${block.address}:${block.phys}:${block.physNextPage}:${user}`;
    const known = this.#rawBlocks.get(key) ?? [];
    const same = known.find((raw) => Buffer.compare(raw.bytes, block.bytes) === 0);
    if (same !== undefined) return same;
    const rawId = this.blocks.length;
    if (rawId >= RAW_BLOCKS) throw new RangeError(`more than ${RAW_BLOCKS} different blocks in one machine`);
    this.#blockInstructions[rawId] = block.instructions.length;
    const raw: RawBlock = {
      rawId,
      virt: BigInt.asUintN(64, BigInt(block.address)),
      phys: block.phys,
      physNextPage: block.physNextPage,
      user,
      bits: block.shape.bits,
      bytes: block.bytes,
      instructions: block.instructions.length,
      slots: block.shape.slots.length,
    };
    this.blocks.push(raw);
    this.#rawBlocks.set(key, [...known, raw]);
    this.#decoded.set(raw, block);
    return raw;
  }

  decoded(raw: RawBlock): DecodedBlock | undefined {
    return this.#decoded.get(raw);
  }
}

/** Two processes may have different code at one address, and the same code in one physical page. */
const userKey = (block: DecodedBlock, user: boolean): number =>
  user ? (block.phys >>> PAGE_SHIFT) + (block.physNextPage >>> PAGE_SHIFT) * 2 ** 20 : 0;

const overlaps = (block: DecodedBlock, phys: number, length: number): boolean => {
  const inFirst = block.physNextPage === 0 ? block.bytes.length : PAGE_BYTES - (block.phys & (PAGE_BYTES - 1));
  if (phys < block.phys + inFirst && block.phys < phys + length) return true;
  const rest = block.bytes.length - inFirst;
  return rest > 0 && phys < block.physNextPage + rest && block.physNextPage < phys + length;
};

const pagesOf = (blocks: ReadonlySet<DecodedBlock>): Set<number> => {
  const pages = new Set<number>();
  for (const block of blocks) {
    pages.add(block.phys >>> PAGE_SHIFT);
    if (block.physNextPage !== 0) pages.add(block.physNextPage >>> PAGE_SHIFT);
  }
  return pages;
};

/** Index of a function that generated code of the other bitness calls. */
const ABSENT = -1;

/** A module of generated code under construction, with the imports that all of them have. */
class ModuleBuilder {
  readonly module = new ModuleWriter();
  readonly helpers: Helpers;
  readonly fragmentType: number;
  readonly #host: TranslatorHost;

  constructor(host: TranslatorHost) {
    this.#host = host;
    const { module } = this;
    this.fragmentType = module.type(fragmentParameters(host.passedRegisters, host.record), []);
    const access = module.type([I64, I32], [I32]);
    this.helpers = {
      miss: module.importFunction('h', 'miss', access),
      careful: module.importFunction('h', 'careful', access),
      flags: module.importFunction('h', 'flags', module.type([I32, I64, I64], [I32])),
      commit: module.importFunction('h', 'commit', module.type([], [])),
      divide: module.importFunction('h', 'divide', module.type([I64, I64, I64, I32], [I32])),
      repString: module.importFunction('h', 'repString', module.type([I32], [I32])),
      loadSegment:
        host.bits === 32 ? module.importFunction('h', 'loadSegment', module.type([I32, I32], [I32])) : ABSENT,
    };
  }

  /** A function that leaves to the run loop, for an address without code. */
  stub(address: number, slot: number): void {
    const { record, passedRegisters } = this.#host;
    const code = new CodeWriter(passedRegisters.length + (record ? 2 : 0));
    for (const [parameter, register] of passedRegisters.entries()) {
      code.storeAt(Op.i64Store, gprAddress(register), () => code.get(parameter));
    }
    if (record) {
      const first = passedRegisters.length;
      code.storeAt(Op.i32Store, STATE.eventPointer, () => code.get(first));
      code.storeAt(Op.i32Store, STATE.addressPointer, () => code.get(first + 1));
    }
    code.storeAt(Op.i64Store, STATE.rip, () => code.i64(BigInt(address)));
    code.storeAt(Op.i32Store, STATE.exitReason, () => code.i32(ExitReason.lookup));
    this.module.element(slot, this.module.add(this.fragmentType, code));
  }

  instantiate(): WebAssembly.Module {
    const { memoryPages } = this.#host;
    const bytes = this.module.finish(memoryPages, { type: this.fragmentType, size: TABLE_SIZE, define: false });
    const module = new WebAssembly.Module(bytes);
    instantiate(this.#host, module);
    return module;
  }
}

/** Fills the table slots that a module of generated code has functions for. */
const instantiate = ({ memory, table, helpers }: TranslatorHost, module: WebAssembly.Module): void => {
  new WebAssembly.Instance(module, { h: helpers, m: { memory, table } });
};

/** Translates an entry and what is reachable from it through direct transfers and return sites into one module. */
class UnitBuilder implements Linker {
  readonly #translator: Translator;
  readonly #host: TranslatorHost;
  readonly #user: boolean;
  readonly #builder: ModuleBuilder;
  readonly #context: EmitterContext;
  readonly #unit: Unit;
  readonly #functions = new Map<number, { index: number; fragment: Fragment }>();
  readonly #fetched = new Map<number, DecodedBlock | undefined>();
  readonly #stubs = new Map<number, Entry>();
  #userKey = 0;

  constructor(translator: Translator, host: TranslatorHost, user: boolean) {
    this.#translator = translator;
    this.#host = host;
    this.#user = user;
    this.#builder = new ModuleBuilder(host);
    this.#unit = { entries: [], blocks: new Set(), carefulKeys: [], stubs: [], module: undefined };
    this.#context = {
      bits: host.bits,
      record: host.record,
      helpers: this.#builder.helpers,
      passedRegisters: host.passedRegisters,
      fragmentType: this.#builder.fragmentType,
      addSite: (site) => translator.sites.add(site),
    };
    translator.translations += 1;
  }

  build(entry: DecodedBlock): void {
    this.#userKey = userKey(entry, this.#user);
    this.#fetched.set(entry.address, entry);
    this.#discover(entry);
    for (const { fragment } of this.#functions.values()) this.#emit(fragment);
    this.#finish();
  }

  buildCareful(raw: RawBlock, block: DecodedBlock, first: number, count: number, slot: number, key: number): void {
    this.#userKey = userKey(block, this.#user);
    const e = new FunctionEmitter(this.#context, this.#user, true);
    writeCareful(e, block, raw, this, first, count);
    this.#unit.blocks.add(block);
    this.#unit.carefulKeys.push(key);
    this.#builder.module.element(slot, this.#builder.module.add(this.#builder.fragmentType, e.code));
    this.#finish();
  }

  #discover(entry: DecodedBlock): void {
    const first = this.#builder.module.nextIndex;
    const waiting = [entry];
    const planned = new Set([entry.address]);
    const isRoot = (address: number): boolean => planned.has(address) || this.#isTranslated(address);
    for (let block = waiting.shift(); block !== undefined; block = waiting.shift()) {
      const fragment = discoverFragment(block, this.#user, (address) => this.#fetch(address), isRoot);
      this.#functions.set(block.address, { index: first + this.#functions.size, fragment });
      for (const root of fragment.roots) {
        if (planned.size >= MAX_FRAGMENTS || isRoot(root) || !this.#mayJoin(entry, root)) continue;
        const found = this.#fetch(root);
        if (found === undefined || (this.#user && found.physNextPage !== 0)) continue;
        planned.add(root);
        waiting.push(found);
      }
    }
  }

  /** User code of another page may be mapped differently the next time. */
  #mayJoin(entry: DecodedBlock, address: number): boolean {
    return !this.#user || (entry.physNextPage === 0 && samePage(entry.address, address));
  }

  #isTranslated(address: number): boolean {
    return this.#translator.findEntry(address, this.#user, this.#userKey)?.unit !== undefined;
  }

  #fetch(address: number): DecodedBlock | undefined {
    if (this.#fetched.has(address)) return this.#fetched.get(address);
    const block = this.#host.fetch(address, this.#user);
    this.#fetched.set(address, block);
    return block;
  }

  #emit(fragment: Fragment): void {
    const e = new FunctionEmitter(this.#context, this.#user, false);
    new FragmentWriter(e, fragment, this).write();
    const { module, fragmentType } = this.#builder;
    const { address } = fragment.entry.block;
    const entry = this.#translator.entryFor(address, this.#user, this.#userKey);
    entry.unit = this.#unit;
    this.#unit.entries.push(entry);
    module.element(entry.slot, module.add(fragmentType, e.code));
    for (const { block } of fragment.nodes.values()) this.#unit.blocks.add(block);
  }

  #finish(): void {
    for (const stub of this.#stubs.values()) {
      this.#builder.stub(stub.address, stub.slot);
      this.#unit.stubs.push(stub);
    }
    this.#unit.module = this.#builder.instantiate();
    this.#translator.register(this.#unit);
  }

  resolve(from: number, address: number): Target {
    if (this.#user && !this.#staysOnPage(from, address)) return { kind: 'lookup' };
    const local = this.#functions.get(address);
    if (local !== undefined) return { kind: 'function', index: local.index };
    const entry = this.#translator.entryFor(address, this.#user, this.#userKey);
    if (entry.unit === undefined) this.#stubs.set(entry.slot, entry);
    return { kind: 'slot', slot: entry.slot };
  }

  #staysOnPage(from: number, address: number): boolean {
    if (!samePage(from, address) || this.#userKey >= 2 ** 20) return false;
    return this.#fetch(address)?.physNextPage === 0;
  }

  rawBlock(block: DecodedBlock): RawBlock {
    return this.#translator.rawBlock(block, this.#user);
  }
}
