import type { Batch } from './batch.js';
import type { Outcome } from './native-host.js';

const BREAKPOINT = 3;
const PAGE_FAULT = 14;
const KERNEL_HALF = 1n << 63n;
const EXCEPTIONS: Readonly<Record<number, string>> = { 0: '#DE', 3: '#BP', 6: '#UD', 12: '#SS', 13: '#GP', 14: '#PF' };

const HEADING = `# What the generated cases cover; the differential test makes this table anew and compares it.
# instruction × operand kinds × widths in bits, executed for certain in a case that ran to its end;
# high = ah, ch, dh or bh; acc = al, ax, eax or rax. Then addressing forms × address widths, and exceptions × privilege level.
`;

/** Collects what the cases covered. Only instructions that are executed on every way to the end of their region count. */
export class Coverage {
  readonly #cells = new Map<string, Set<number>>();

  #add(cell: string): void {
    const split = cell.lastIndexOf(' ');
    const row = cell.slice(0, split);
    const widths = this.#cells.get(row) ?? new Set<number>();
    widths.add(Number(cell.slice(split + 1)));
    this.#cells.set(row, widths);
  }

  add(batch: Batch, outcomes: readonly Outcome[]): void {
    const finished = new Set<number>();
    batch.cases.forEach(({ region }, i) => {
      const outcome = outcomes[i];
      if (!outcome) return;
      if (outcome.vector === BREAKPOINT) finished.add(region);
      this.#addException(outcome, batch.cpl);
    });
    for (const number of finished) {
      for (const step of batch.regions[number]?.region ?? []) {
        if (step.kind === 'instruction' && step.certain) for (const cell of step.cells) this.#add(cell);
      }
    }
  }

  #addException({ vector, errorCode, cr2 }: Outcome, cpl: 0 | 3): void {
    if (vector === PAGE_FAULT && cr2 >= KERNEL_HALF) return;
    const code =
      vector === PAGE_FAULT
        ? ` ${[1, 2, 4, 8, 16].map((bit, i) => (errorCode & bit && bit !== 4 ? 'PWURI'[i] : '')).join('') || '-'}`
        : '';
    this.#add(`exception ${EXCEPTIONS[vector] ?? vector}${code} ${cpl}`);
  }

  /** The table, rows sorted: what is covered, then the widths. */
  text(): string {
    const rows = [...this.#cells].sort(([a], [b]) => (a < b ? -1 : 1));
    const lines = rows.map(([row, widths]) => `${row.padEnd(40)} ${[...widths].sort((a, b) => a - b).join(' ')}`);
    return `${HEADING}${lines.join('\n')}\n`;
  }
}
