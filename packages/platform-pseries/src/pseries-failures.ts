import type { FailureSchedule } from '@virtio-platform/core/failure';
import { failureSchedule, failureTimes } from '@virtio-platform/options';
import { z } from 'zod';
import { H_HARDWARE, H_NOT_ENOUGH_RESOURCES, H_NO_MEM, H_PARAMETER, H_RESOURCE } from './tce-facility.ts';

/** What a hypercall can be refused with. */
const HYPERCALL_RESULTS = { H_HARDWARE, H_PARAMETER, H_NO_MEM, H_RESOURCE, H_NOT_ENOUGH_RESOURCES } as const;

/** What fails on purpose beneath the platform; an empty schedule never does. */
export interface PseriesFailures {
  /** Hypercalls that change a table. `result` is the code they are refused with. */
  readonly hypercall: FailureSchedule & { readonly result: number };
  /** RTAS calls for windows, refused as a hardware error. */
  readonly window: FailureSchedule;
  /** Ultracalls of a secure guest that share pages or take them back. */
  readonly share: FailureSchedule;
  /** Hypercalls that take something from the device, which goes on with what it had. */
  readonly invalidation: FailureSchedule;
}

/** The schema of `platform.failures`. */
export const pseriesFailuresSchema: z.ZodType<PseriesFailures> = z.strictObject({
  hypercall: z
    .strictObject({
      ...failureTimes,
      result: z
        .enum(['H_HARDWARE', 'H_PARAMETER', 'H_NO_MEM', 'H_RESOURCE', 'H_NOT_ENOUGH_RESOURCES'])
        .default('H_HARDWARE')
        .transform((name) => HYPERCALL_RESULTS[name])
        .describe('What it is refused with. Only H_NOT_ENOUGH_RESOURCES is worth another try later.'),
    })
    .prefault({})
    .describe('Hypercalls that change a TCE table are refused, in a list after the first half: { every: 50 }.'),
  window: failureSchedule.describe(
    'Calls that query, create, remove or reset windows are refused as a hardware error.',
  ),
  share: failureSchedule.describe('The ultravisor refuses to share pages, or to take them back.'),
  invalidation: failureSchedule.describe(
    'The device is not told what was taken from it and goes on with the old entry, until it is told of a later change to it. On the simulated machine.',
  ),
});

/** Whether anything is refused on purpose, so that the tables have to be wrapped. */
export function refusesAny({ hypercall, window }: PseriesFailures): boolean {
  const { result: _result, ...times } = hypercall;
  return Object.keys({ ...times, ...window }).length > 0;
}
