import { byteSize } from '@virtio-platform/options';
import { z } from 'zod';
import type { QueueSection, WorkloadSection } from './profile.ts';

/** Entries of the largest virtqueue of either layout. Virtio 1.4 sections 2.7 and 2.8. */
const MAX_QUEUE_SIZE = 32_768;

const disruption = z.strictObject({
  after: z.int().min(1).max(0x7fff_ffff).describe('The number of completed requests after which it happens.'),
  do: z
    .enum(['reset-queues', 'suspend'])
    .describe(
      'reset-queues (needs RING_RESET): reset every queue, and make the requests in flight again. suspend (needs SUSPEND): suspend and resume the device.',
    ),
  size: z
    .int()
    .min(1)
    .max(MAX_QUEUE_SIZE)
    .optional()
    .describe('With reset-queues: the entries of each queue from then on.'),
});

const schema = z.strictObject({
  kind: z
    .enum(['write-read-verify', 'read', 'echo', 'stream'])
    .describe(
      'The requests. Block: write a pattern, read it back, compare. Entropy: read. Net and console: echo or stream, send messages of one length or of all lengths up to it, and compare what comes back.',
    ),
  requests: z.int().min(1).max(0x7fff_ffff).describe('Requests in all.'),
  depth: z.int().min(1).max(MAX_QUEUE_SIZE).describe('Requests in flight at once.'),
  blockSize: byteSize().describe('Bytes of each request: 4KiB. For a block device a multiple of 512 bytes.'),
  seed: z.int().min(0).max(0xffff_ffff).default(1).describe('Seed of the pattern and of the order of requests.'),
  disruptions: z
    .array(disruption)
    .max(1000)
    .default([])
    .describe('Queue resets and suspends during the workload: [{ after: 500, do: reset-queues, size: 64 }].'),
});

/** The schema of the section `workload`. */
export const WORKLOAD_SECTION: z.ZodObject<Record<string, z.ZodType>> & z.ZodType<WorkloadSection> = schema;

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
