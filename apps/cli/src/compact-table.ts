import Table from 'cli-table3';

const NOTHING = {
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
};
const LINES = {
  ...NOTHING,
  top: '',
  bottom: '',
  left: '',
  right: '',
  middle: ' ',
  mid: '',
  'left-mid': '',
  'mid-mid': '',
  'right-mid': '',
};

/** Texts for people are no wider than this. */
export const COLUMNS = 100;

/** A table without lines, names at the left and numbers at the right, so that eight stages fit `COLUMNS`. */
export const compactTable = (head: readonly string[]) =>
  new Table({
    head: [...head],
    colAligns: ['left', ...head.slice(1).map(() => 'right' as const)],
    chars: LINES,
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 },
  });
