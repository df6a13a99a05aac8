import { z } from 'zod';

const UNITS: Readonly<Record<string, number>> = { B: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 };
const PATTERN = /^([1-9]\d*)(B|KiB|MiB|GiB)$/;
const EXPECTED = 'a size is a number of bytes, or a whole number and a unit: 512KiB, 1MiB, 1GiB';

/** A size as profiles write it: a number of bytes, or a number with a unit such as `4KiB`. The output is bytes. */
export const byteSize: z.ZodType<number, number | string> = z
  .union([z.number(), z.string()], { error: EXPECTED })
  .transform((size, context) => {
    const [, digits, unit = 'B'] = PATTERN.exec(typeof size === 'string' ? size : `${size}B`) ?? [];
    const bytes = Number(digits) * UNITS[unit]!;
    if (Number.isSafeInteger(bytes)) return bytes;
    context.addIssue({ code: 'custom', message: EXPECTED, input: size });
    return z.NEVER;
  })
  // For editors: JSON Schema cannot say what code checks.
  .meta({
    anyOf: [
      { type: 'integer', minimum: 1 },
      { type: 'string', pattern: PATTERN.source },
    ],
  });
