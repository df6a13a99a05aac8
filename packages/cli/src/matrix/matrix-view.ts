import type { MatrixCell, MatrixRow } from '@virtio-platform/runner';

/** Short names of the features that are in dispute; the others are told by the offer itself. */
const DISPUTED: ReadonlyMap<string, string> = new Map([
  ['ACCESS_PLATFORM_NO_TRANSLATION', 'NT'],
  ['ACCESS_PLATFORM_IDENTITY_ADDRESS', 'ID'],
]);

/** What one offer comes to under one platform, for a driver of either layout. */
export interface LayoutCells {
  readonly split: MatrixCell;
  readonly packed: MatrixCell;
}

/** What decided cells: a rule, and what of the profile did beside it. */
export type Decider = Pick<MatrixCell, 'rule' | 'option' | 'source' | 'references'>;

/**
 * A matrix as every format shows it: offers down, platforms across, and what decided, numbered as it comes.
 */
export interface MatrixView {
  readonly platforms: readonly Pick<MatrixRow, 'profile' | 'platform' | 'privilege'>[];
  readonly offers: readonly { readonly name: string; readonly cells: readonly LayoutCells[] }[];
  readonly deciders: readonly Decider[];
}

/** Arranges the results of a matrix as rows of offers and columns of platforms, the rows of both layouts in one. */
export function matrixView(rows: readonly MatrixRow[]): MatrixView {
  const platforms = rows.filter(({ layout }) => layout === 'split');
  const packed = rows.filter(({ layout }) => layout === 'packed');
  const names = platforms[0]?.cells.map(({ offer }) => offer) ?? [];
  const offers = names.map((name, i) => ({
    name,
    cells: platforms.map(({ cells }, j) => ({ split: cells[i]!, packed: packed[j]?.cells[i] ?? cells[i]! })),
  }));
  const deciders = new Map<string, Decider>();
  for (const { split, packed: other } of offers.flatMap(({ cells }) => cells)) {
    for (const cell of [split, other]) if (!deciders.has(deciderKey(cell))) deciders.set(deciderKey(cell), cell);
  }
  return { platforms, offers, deciders: [...deciders.values()] };
}

/** A cell of one layout in a word or two: `EPERM`, or the path and which of the disputed features were accepted. */
export function outcomeText({ refusal, path, accepted }: MatrixCell): string {
  if (refusal !== null) return refusal.code;
  const disputed = accepted.flatMap((name) => DISPUTED.get(name) ?? []);
  return [path ?? 'none', ...disputed.map((name) => `+${name}`)].join(' ');
}

/**
 * A cell for both layouts: `/p` where a packed ring comes to the same, and what it comes to where that is something
 * else. Without either the ring is split, whatever the driver asks for.
 */
export function cellText({ split, packed }: LayoutCells): string {
  const [text, other] = [outcomeText(split), outcomeText(packed)];
  if (text !== other) return `${text}; packed: ${other}`;
  return packed.accepted.includes('RING_PACKED') ? `${text} /p` : text;
}

/** The number of what decided a cell, of the split ring unless the packed one came out otherwise. */
export function deciderNumber({ deciders }: MatrixView, { split, packed }: LayoutCells): string {
  const number = (cell: MatrixCell): number =>
    deciders.findIndex((decider) => deciderKey(decider) === deciderKey(cell)) + 1;
  const [first, second] = [number(split), number(packed)];
  return first === second ? String(first) : `${first}, ${second}`;
}

/** What decided, in words: the rule, and the option beside it. */
export function deciderText({ rule, option }: Decider): string {
  return option === null ? rule : `${rule}, ${option}`;
}

function deciderKey({ rule, option }: Pick<Decider, 'rule' | 'option'>): string {
  return JSON.stringify([rule, option]);
}
