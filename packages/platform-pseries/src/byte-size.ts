import { z } from 'zod';

const PATTERN = '^[0-9]+ ?(KiB|MiB|GiB)?$';
const UNITS: Readonly<Record<string, number>> = { KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 };
const EXPECTED = 'a size is a number of bytes, or text such as 64KiB, 2MiB or 1GiB';

/**
 * A size in a profile, as bytes. YAML readers that keep 64-bit numbers whole give integers as bigint, so these are taken
 * too. What it accepts is stated for editors by hand: the check itself is code, which JSON Schema cannot carry.
 */
export const byteSizeSchema: z.ZodType<number, number | bigint | string> = z
  .union([z.number(), z.bigint(), z.string()], { error: EXPECTED })
  .transform((size, context) => {
    const bytes = typeof size === 'string' ? parseByteSize(size) : Number(size);
    if (Number.isSafeInteger(bytes) && bytes > 0) return bytes;
    context.addIssue({ code: 'custom', message: EXPECTED, input: size });
    return z.NEVER;
  })
  .meta({
    anyOf: [
      { type: 'integer', minimum: 1 },
      { type: 'string', pattern: PATTERN },
    ],
  });

/** Writes a size as profiles do: `64KiB`. */
export function formatByteSize(bytes: number): string {
  for (const unit of ['GiB', 'MiB', 'KiB']) {
    const size = bytes / UNITS[unit]!;
    if (Number.isInteger(size)) return `${size}${unit}`;
  }
  return `${bytes}`;
}

function parseByteSize(text: string): number {
  const unit = new RegExp(PATTERN).exec(text);
  if (unit === null) return Number.NaN;
  return Number.parseInt(text, 10) * (UNITS[unit[1] ?? ''] ?? 1);
}
