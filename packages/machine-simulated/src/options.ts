import {
  FeatureSet,
  featureBit,
  NO_DEVICE_FEATURES,
  TRANSPORT_KINDS,
  type BusKind,
} from '@virtio-platform/core/features';
import { z } from 'zod';
import { FAULT_CONSEQUENCES, type FaultConsequence } from './fault-consequence.ts';

/** An access that the device makes on its own, after it handled `after` buffers; 0 is in its first reset. */
export interface RogueAccess {
  readonly after: number;
  readonly access: 'read' | 'write';
  readonly address: bigint;
  readonly length: number;
}

/** The `machine` section of a profile that uses this plugin, without `memory`. */
export interface SimulatedOptions {
  readonly device: 'same-thread' | 'worker';
  readonly onFault: FaultConsequence;
  readonly rogue: readonly RogueAccess[];
  /**
   * How the driver reaches the registers of the device. On `mmio` a device in the driver's thread has those of
   * virtio-mmio; elsewhere it is what features and platforms depend on.
   */
  readonly transport: BusKind;
  /** Bits without which the device does not work, besides ACCESS_PLATFORM where it is offered. */
  readonly demands: bigint;
}

const rogueSchema = z.strictObject({
  after: z
    .number()
    .int()
    .min(0)
    .describe(
      'The device does it after it handled this many buffers. 0: with its first reset, as what is in flight for a ' +
        'former driver completes then.',
    ),
  access: z.enum(['read', 'write']).describe('What it does.'),
  address: z
    .union([z.number().int().min(0), z.bigint().min(0n).max(0xffff_ffff_ffff_ffffn)])
    .transform((value) => BigInt(value))
    .describe('Device address, for example 0x0800000000000000.'),
  length: z.number().int().min(1).max(4096).default(64).describe('Bytes.'),
});

/** Checks and describes {@link SimulatedOptions}. */
export const simulatedOptionsSchema: z.ZodType<SimulatedOptions> = z.strictObject({
  device: z
    .enum(['same-thread', 'worker'])
    .default('same-thread')
    .describe('Where the device runs: in the driver’s thread, or in a worker over shared memory.'),
  onFault: z
    .enum(FAULT_CONSEQUENCES)
    .default('needs-reset')
    .describe(
      'What a device does after an access that the platform stopped: ask for a reset, fail the request, ' +
        'read zeros and go on (QEMU), read all ones and go on, wait for ever (DPDK), be gone (libvhost-user), ' +
        'or freeze until it is reset (EEH).',
    ),
  rogue: z
    .array(rogueSchema)
    .max(64)
    .default([])
    .describe('Accesses the device makes on its own, to see what the platform lets it reach.'),
  transport: z
    .enum(TRANSPORT_KINDS)
    .exclude(['legacy'])
    .default('pci')
    .describe(
      'How the driver reaches the device: some features do not exist on mmio and channel-io, and no IOMMU that goes by ' +
        'requester ids stands before a device there. On mmio a device in the same thread has its registers. Default pci.',
    ),
  demands: z
    .array(
      z.string().refine(isReserved, { error: 'must be a feature that is no device type’s, such as ORDER_PLATFORM' }),
    )
    .max(128)
    .default([])
    .transform((names) => FeatureSet.of(...names.flatMap((name) => featureBit(name, NO_DEVICE_FEATURES) ?? [])).bits)
    .describe('Features without which the device clears FEATURES_OK, such as ORDER_PLATFORM.'),
});

function isReserved(name: string): boolean {
  return featureBit(name, NO_DEVICE_FEATURES) !== undefined;
}
