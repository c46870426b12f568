import type { SeededRandom } from '@pvtrail/primitives';
import { A_ADDRESS, B_ADDRESS, HIGH_ADDRESS, PAGE_BYTES, STACK_ADDRESS } from './areas.js';
import type { Bits } from './assembler.js';
import { type ControlCard, controlCardsOf, raiseException } from './control-flow.js';
import { DF, STATUS_FLAGS } from './forms.js';
import { type Card, cardsOf, playCard } from './instruction-cards.js';
import { type Region, readsDefinedFlagsOnly } from './region.js';
import { DoesNotFit, RegionDraft, type Roles, RSP } from './region-draft.js';
import { interestingValue } from './values.js';

/** Registers and flags at the entry of a case; in 32-bit code the upper halves and registers 8 … 15 are 0. */
export interface InitialState {
  readonly gpr: readonly bigint[];
  readonly rflags: bigint;
}

export interface GeneratedRegion {
  readonly region: Region;
  readonly states: readonly InitialState[];
}

/** Cards dealt in a shuffled order, all of them before any again; a card that does not fit waits for the next region. */
class Deck<T> {
  readonly #cards: readonly T[];
  #waiting: T[] = [];
  #rest: T[] = [];

  constructor(
    cards: readonly T[],
    readonly random: SeededRandom,
  ) {
    this.#cards = cards;
  }

  /** Plays one card: the first waiting or new one that fits. */
  deal(play: (card: T) => void): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    while (waiting.length > 0) {
      const card = waiting.shift() as T;
      if (this.#fits(play, card)) {
        this.#waiting.push(...waiting);
        return;
      }
    }
    for (let tries = 0; tries < 50; tries++) if (this.#fits(play, this.#next())) return;
  }

  #fits(play: (card: T) => void, card: T): boolean {
    try {
      play(card);
      return true;
    } catch (error) {
      if (!(error instanceof DoesNotFit)) throw error;
      this.#waiting.push(card);
      return false;
    }
  }

  #next(): T {
    if (this.#rest.length === 0) this.#rest = shuffled(this.#cards, this.random);
    return this.#rest.pop() as T;
  }
}

function shuffled<T>(items: readonly T[], random: SeededRandom): T[] {
  const order = [...items];
  for (let i = order.length - 1; i > 0; i--) {
    const j = random.below(i + 1);
    [order[i], order[j]] = [order[j] as T, order[i] as T];
  }
  return order;
}

/** An endless, seeded sequence of regions with their initial states. */
export class RegionGenerator {
  readonly #random: SeededRandom;
  readonly #cards: Deck<Card>;
  readonly #control: Deck<ControlCard>;

  /** @param only restricts the cards, to aim at a family of instructions. */
  constructor(
    random: SeededRandom,
    readonly bits: Bits,
    only: (card: Card) => boolean = () => true,
  ) {
    this.#random = random;
    this.#cards = new Deck(cardsOf(bits).filter(only), random);
    this.#control = new Deck(controlCardsOf(bits), random);
  }

  /** The next region and `states` initial states for it. */
  next(options: { cpl: 0 | 3; states: number }): GeneratedRegion {
    for (;;) {
      const roles = this.#roles();
      const region = this.#region(roles, options.cpl);
      // Flags merge at labels more coarsely than the draft follows them; a region that might look at an undefined one is dropped.
      if (!readsDefinedFlagsOnly(region)) continue;
      return { region, states: Array.from({ length: options.states }, () => this.#state(roles)) };
    }
  }

  #roles(): Roles {
    const random = this.#random;
    const stack = random.below(4) !== 0;
    const few = this.bits === 32 ? 1 : 0;
    const order = shuffled(
      [0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15].slice(0, this.bits === 64 ? 15 : 7),
      random,
    );
    const pointers = [...order.splice(0, 2 - few + random.below(2)), ...(stack ? [RSP] : [])];
    const indexes = order.splice(0, 1 - few + random.below(2));
    return { pointers, indexes, data: stack ? order : [...order, RSP], stack };
  }

  #region(roles: Roles, cpl: 0 | 3): Region {
    const random = this.#random;
    const draft = new RegionDraft(random, roles, cpl, this.bits);
    const parts = random.below(24) === 0 ? 30 : 3 + random.below(5);
    for (let i = 0; i < parts; i++) {
      this.#body(draft, 1 + random.below(3));
      if (random.below(3) !== 0) this.#controlFlow(draft);
    }
    this.#body(draft, 1);
    if (random.below(30) === 0) raiseException(draft);
    return draft.finish();
  }

  #body(draft: RegionDraft, cards: number): void {
    for (let i = 0; i < cards; i++) this.#cards.deal((card) => playCard(draft, card));
    if (draft.locked.size > 0 || draft.inRoutine || !draft.certain) {
      if (this.#random.below(8) === 0) this.#controlFlow(draft);
    }
  }

  #controlFlow(draft: RegionDraft): void {
    this.#control.deal((card) => {
      const before = {
        steps: draft.steps.length,
        routines: draft.routines.length,
        undefinedHere: draft.undefinedHere,
        list: draft.steps,
      };
      const { certain } = draft;
      try {
        card.write(draft, (inner, cards) => this.#body(inner, cards));
      } catch (error) {
        draft.steps = before.list;
        draft.steps.length = before.steps;
        draft.routines.length = before.routines;
        draft.undefinedHere = before.undefinedHere;
        draft.certain = certain;
        throw error;
      }
    });
  }

  #state(roles: Roles): InitialState {
    const random = this.#random;
    const gpr = Array.from({ length: this.bits === 64 ? 16 : 8 }, (_, number) => {
      if (number === RSP && roles.stack) return this.#stackPointer();
      if (roles.pointers.includes(number)) return this.#pointer();
      if (roles.indexes.includes(number)) return BigInt.asUintN(this.bits, BigInt(random.below(17) - 8));
      return BigInt.asUintN(this.bits, interestingValue(random));
    });
    if (this.bits === 32) gpr.push(...Array<bigint>(8).fill(0n));
    return { gpr, rflags: BigInt(0x202 | (random.nextU32() & (STATUS_FLAGS | DF))) };
  }

  #pointer(): bigint {
    const random = this.#random;
    const below4G = [BigInt(A_ADDRESS), BigInt(B_ADDRESS)];
    const start = random.pick(this.bits === 64 ? [...below4G, HIGH_ADDRESS] : below4G);
    const choice = random.below(100);
    if (choice < 80) return start + BigInt(random.below(2) * PAGE_BYTES + 0x200 + random.below(0xc00));
    if (choice < 97) return start + BigInt(PAGE_BYTES - 40 + random.below(80));
    return start + BigInt(2 * PAGE_BYTES - 40 + random.below(80));
  }

  #stackPointer(): bigint {
    const random = this.#random;
    const choice = random.below(100);
    if (choice < 80) return BigInt(STACK_ADDRESS + 0x400 + 8 * random.below(0x300));
    if (choice < 97) return BigInt(STACK_ADDRESS + PAGE_BYTES - 20 + random.below(40));
    return BigInt(STACK_ADDRESS + random.pick([0, 2 * PAGE_BYTES]) + random.below(64) - 32);
  }
}
