/** One of several parts of something that several processes or machines share: `number` from 1 on, of `count`. */
export interface Shard {
  readonly number: number;
  readonly count: number;
}

/** The only part of what nothing else shares. */
export const WHOLE: Shard = { number: 1, count: 1 };

/** Reads `2/3`; `undefined` for what is no part of at most 9999. */
export function readShard(text: string): Shard | undefined {
  const [, number, count] = (/^(\d{1,4})\/(\d{1,4})$/.exec(text) ?? []).map(Number);
  if (number === undefined || count === undefined || number < 1 || number > count) return undefined;
  return { number, count };
}

/** The part of a list that a shard has: every `count`th, so that long ones that stand together are shared out. */
export function partOf<Item>(items: readonly Item[], { number, count }: Shard): readonly Item[] {
  return items.filter((_, i) => i % count === number - 1);
}
