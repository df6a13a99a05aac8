import { z } from 'zod';

/** The keys of a failure schedule with their schemas; see `FailureSchedule` of the core. */
export type FailureTimes = {
  readonly nth: z.ZodExactOptional<z.ZodArray<z.ZodInt>>;
  readonly every: z.ZodExactOptional<z.ZodInt>;
  readonly rate: z.ZodExactOptional<z.ZodNumber>;
  readonly seed: z.ZodExactOptional<z.ZodInt>;
};

/** The keys of {@link failureSchedule}, for a schema that has more than these. */
export const failureTimes: FailureTimes = {
  nth: z.array(z.int().min(1)).max(1000).exactOptional().describe('At these times, counted from 1.'),
  every: z.int().min(1).exactOptional().describe('Every so many times.'),
  rate: z.number().min(0).max(1).exactOptional().describe('At random, with this probability: 0.01.'),
  seed: z.int().min(1).max(0xffff_ffff).exactOptional().describe('Of the random numbers; without it 1.'),
};

/** The schema of a schedule of failures on purpose: `{ every: 100 }`. Without keys, as by default, nothing fails. */
export const failureSchedule: z.ZodPrefault<z.ZodObject<FailureTimes, z.core.$strict>> = z
  .strictObject(failureTimes)
  .prefault({});
