import { PAGE_SIZE } from '@virtio-platform/core/memory';
import { z } from 'zod';

/** The schema of a page-aligned I/O virtual address: a multiple of 0x1000, below 2^48. Gives a number. */
export const pageAddress: z.ZodType<number, number | bigint> = z
  .union([z.number(), z.bigint()])
  .transform(Number)
  .refine((address) => address % PAGE_SIZE === 0 && address >= 0 && address < 2 ** 48, {
    error: 'must be an I/O virtual address: a multiple of 0x1000 below 2^48',
  })
  .meta({ anyOf: [{ type: 'integer', minimum: 0, multipleOf: PAGE_SIZE }] });

/** The schema of a page-aligned bus address of 64 bits: a multiple of 0x1000. Gives a bigint. */
export const busAddress: z.ZodType<bigint, number | bigint> = z
  .union([z.int(), z.bigint()])
  .transform(BigInt)
  .refine((address) => address >= 0n && address < 2n ** 64n && address % BigInt(PAGE_SIZE) === 0n, {
    error: 'must be a bus address: a multiple of 0x1000 below 2^64',
  })
  .meta({ anyOf: [{ type: 'integer', minimum: 0, multipleOf: PAGE_SIZE }] });

/** Low bits of addresses are below this: half of the 256 KiB that a segment of bounce slots has. */
const LOW_BITS_END = 0x2_0000;

/** The schema of a mask of low address bits, one less than a power of two and below 0x20000; 0 unless given. */
export const lowBitsMask: z.ZodType<number, number | bigint | undefined> = z
  .union([z.number(), z.bigint()])
  .transform(Number)
  .refine((mask) => Number.isInteger(mask) && mask >= 0 && mask < LOW_BITS_END && (mask & (mask + 1)) === 0, {
    error: 'must be a mask of low address bits, one less than a power of two and below 0x20000: 0xfff',
  })
  .meta({ anyOf: [{ type: 'integer', minimum: 0, maximum: LOW_BITS_END - 1 }] })
  .prefault(0);

/** The schema of a whole number that is a power of two, from 1 to `maximum`. */
export function powerOfTwo(maximum: number): z.ZodType<number, number> {
  return z
    .int()
    .min(1)
    .max(maximum)
    .refine((value) => (value & (value - 1)) === 0, { error: 'must be a power of two' });
}
