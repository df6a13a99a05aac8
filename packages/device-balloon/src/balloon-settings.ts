import { byteSize, duration } from '@virtio-platform/options';
import { z } from 'zod';
import { BALLOON_PAGE_SIZE } from './layout.ts';

/** The device section of a profile for a memory balloon. Sizes are in bytes, times in milliseconds. */
export interface BalloonSettings {
  /** Sizes that the device asks for, one after the other and again: multiples of 4096. Without one it asks for 0. */
  readonly targets: readonly number[];
  /** From one target that is reached to the next one. */
  readonly interval: number;
  /** From one request for statistics to the next one; 0 for none. */
  readonly statistics: number;
  /** Whether the device asks for hints of free pages. */
  readonly hints: boolean;
}

/** What a profile may write. */
export interface BalloonSettingsInput {
  readonly targets?: readonly (number | string)[] | undefined;
  readonly interval?: number | string | undefined;
  readonly statistics?: number | string | undefined;
  readonly hints?: boolean | undefined;
}

/** The largest number of pages that the configuration has room for, in bytes. */
const MOST_BYTES = 0xffff_ffff * BALLOON_PAGE_SIZE;
/** A day. */
const MOST_MS = 24 * 60 * 60 * 1000;

const milliseconds = (): z.ZodType<number, number | string> => duration({ minimum: 0, maximum: MOST_MS });

/** The schema of the settings. */
export const BALLOON_SETTINGS: z.ZodType<BalloonSettings, BalloonSettingsInput> = z.strictObject({
  targets: z
    .array(byteSize({ minimum: 0, maximum: MOST_BYTES, multipleOf: BALLOON_PAGE_SIZE }))
    .max(1000)
    .default([])
    .describe('Sizes of the balloon that the embedded device asks for, in turn: [4MiB, 1MiB, 0]; without it 0.'),
  interval: milliseconds()
    .prefault('0ms')
    .describe('The time from a target that is reached to the next one; without it the next one follows at once.'),
  statistics: milliseconds()
    .prefault('0ms')
    .describe('The time from one request for statistics to the next one; without it the device asks for none.'),
  hints: z
    .boolean()
    .default(false)
    .describe('The device asks for hints of free pages: the embedded one again and again, QEMU while it migrates.'),
});
