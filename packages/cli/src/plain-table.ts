import Table from 'cli-table3';

/** A table without rules, two columns of space apart. Titles are printed as they are. */
export function plainTable(head: readonly string[], options: Partial<Table.TableConstructorOptions> = {}): Table.Table {
  return new Table({
    head: [...head],
    chars: NO_RULES,
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 2 },
    ...options,
  });
}

const NO_RULES = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  mid: '',
  'mid-mid': '',
  right: '',
  'right-mid': '',
  middle: '',
};
