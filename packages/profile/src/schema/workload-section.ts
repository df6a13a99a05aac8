import { z } from 'zod';
import { knownWorkloads, type DeviceVocabulary } from './device-vocabulary.ts';
import type { QueueSection, WorkloadSection } from './profile.ts';

/** Entries of the largest virtqueue of either layout. Virtio 1.4 sections 2.7 and 2.8. */
const MAX_QUEUE_SIZE = 32_768;

const disruption = z.strictObject({
  after: z.int().min(1).max(0x7fff_ffff).describe('The number of completed requests after which it happens.'),
  do: z
    .enum(['reset-queues', 'suspend', 'exec'])
    .describe(
      'reset-queues (needs RING_RESET): reset every queue, and make the requests in flight again. suspend ' +
        '(needs SUSPEND): suspend and resume the device. exec (platform-vfio, type1 and type1v2): another process ' +
        'takes over, with the device and its mappings.',
    ),
  size: z
    .int()
    .min(1)
    .max(MAX_QUEUE_SIZE)
    .optional()
    .describe('With reset-queues: the entries of each queue from then on.'),
});

/** The section as its schema gives it, without the keys of the workload itself. */
export type CheckedWorkload = Omit<WorkloadSection, 'options'>;

/** The schema of the keys that every workload has. */
export function workloadSchema(vocabulary: DeviceVocabulary): z.ZodObject<Record<string, z.ZodType>> {
  return z.looseObject({
    kind: kindSchema(vocabulary).describe('The requests: a workload of the device type. Other keys are its own.'),
    requests: z.int().min(1).max(0x7fff_ffff).describe('Requests in all.'),
    depth: z.int().min(1).max(MAX_QUEUE_SIZE).describe('Requests in flight at once.'),
    seed: z.int().min(0).max(0xffff_ffff).default(1).describe('Seed of the pattern and of the order of requests.'),
    disruptions: z
      .array(disruption)
      .max(1000)
      .default([])
      .describe('Queue resets, suspends and exec during the workload: [{ after: 500, do: reset-queues, size: 64 }].'),
  });
}

function kindSchema(vocabulary: DeviceVocabulary): z.ZodType<string> {
  const [first, ...names] = knownWorkloads(vocabulary);
  return first === undefined ? z.string() : z.enum([first, ...names]);
}

const queue = z.strictObject({
  layout: z.enum(['split', 'packed']).default('split').describe('The layout of the virtqueue.'),
  size: z
    .int()
    .min(1)
    .max(MAX_QUEUE_SIZE)
    .exactOptional()
    .describe(
      'Entries of the virtqueue: on the split layout a power of two. Where the device has fewer, that is a difference. Without it: 256, or as many as the device has.',
    ),
});

/** The schema of the section `queue`. */
export const QUEUE_SECTION: z.ZodObject<Record<string, z.ZodType>> & z.ZodType<QueueSection> = queue;
