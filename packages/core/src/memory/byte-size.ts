const UNITS: Readonly<Record<string, number>> = {
  TiB: 2 ** 40,
  GiB: 2 ** 30,
  MiB: 2 ** 20,
  KiB: 2 ** 10,
  B: 1,
};

/** Writes a size as profiles do, in the largest unit that divides it: `64KiB`. Nothing is `0B`. */
export function formatByteSize(bytes: number): string {
  if (bytes === 0) return '0B';
  const unit = Object.keys(UNITS).find((name) => bytes % (UNITS[name] ?? 1) === 0) ?? 'B';
  return `${bytes / UNITS[unit]!}${unit}`;
}
