import { z } from 'zod';

const rogueSchema = z.strictObject({
  after: z.number().int().min(1).describe('The device misbehaves after it handled this many buffers.'),
  access: z.enum(['read', 'write']).describe('What it does.'),
  address: z
    .union([z.number().int().min(0), z.bigint().min(0n).max(0xffff_ffff_ffff_ffffn)])
    .transform((value) => BigInt(value))
    .describe('Device address, for example 0x0800000000000000.'),
  length: z.number().int().min(1).max(4096).default(64).describe('Bytes.'),
});

/** The `machine` section of a profile that uses this plugin, without `memory`. */
export const simulatedOptionsSchema = z.strictObject({
  device: z
    .enum(['same-thread', 'worker'])
    .default('same-thread')
    .describe('Where the device runs: in the driver’s thread, or in a worker over shared memory.'),
  onFault: z
    .enum(['needs-reset', 'io-error', 'silent'])
    .default('needs-reset')
    .describe(
      'What a device does after an access that the platform stopped: ask for a reset, fail the request, or nothing, as QEMU does.',
    ),
  rogue: z
    .array(rogueSchema)
    .max(64)
    .default([])
    .describe('Accesses the device makes on its own, to see what the platform lets it reach.'),
});

export type SimulatedOptions = z.output<typeof simulatedOptionsSchema>;
export type RogueAccess = SimulatedOptions['rogue'][number];
