import { BYTE_SIZE_EXPECTED, BYTE_SIZE_PATTERN, parseByteSize } from '@virtio-platform/core/memory';
import { z } from 'zod';

/** A size as profiles write it. The output is bytes; what editors are told is stated by hand, for JSON Schema cannot carry code. */
export const byteSize: z.ZodType<number, number | string> = z
  .union([z.number(), z.string()], { error: BYTE_SIZE_EXPECTED })
  .transform((size, context) => {
    const bytes = parseByteSize(size);
    if (bytes !== undefined) return bytes;
    context.addIssue({ code: 'custom', message: BYTE_SIZE_EXPECTED, input: size });
    return z.NEVER;
  })
  .meta({
    anyOf: [
      { type: 'integer', minimum: 1 },
      { type: 'string', pattern: BYTE_SIZE_PATTERN },
    ],
  });
