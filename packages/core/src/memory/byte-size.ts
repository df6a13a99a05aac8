const UNITS: Readonly<Record<string, number>> = { GiB: 2 ** 30, MiB: 2 ** 20, KiB: 2 ** 10, B: 1 };

/** How profiles write sizes: a whole number and a unit, in powers of 1024. KB is ambiguous, 1000 or 1024, and not allowed. */
export const BYTE_SIZE_PATTERN = '^[1-9]\\d*(B|KiB|MiB|GiB)$';
/** The text of errors about any other size. */
export const BYTE_SIZE_EXPECTED = 'a size is a number of bytes, or a whole number and a unit: 512KiB, 1MiB, 1GiB';

/** Parses a size of a profile: a positive number of bytes, or text such as `4KiB`. `undefined` for anything else. */
export function parseByteSize(value: unknown): number | undefined {
  const text = typeof value === 'string' ? value : `${String(value)}B`;
  const unit = new RegExp(BYTE_SIZE_PATTERN).exec(text)?.[1];
  if (unit === undefined) return undefined;
  const bytes = Number.parseInt(text, 10) * UNITS[unit]!;
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

/** Writes a size as profiles do, in the largest unit that divides it: `64KiB`. */
export function formatByteSize(bytes: number): string {
  const unit = Object.keys(UNITS).find((name) => bytes % (UNITS[name] ?? 1) === 0) ?? 'B';
  return `${bytes / UNITS[unit]!}${unit}`;
}
