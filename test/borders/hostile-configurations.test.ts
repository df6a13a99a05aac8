import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isCodedError, type DeviceModel, type DeviceTypePlugin } from '@virtio-platform/core';
import { FaultLog, PHYSICAL_ADDRESS_SPACE } from '@virtio-platform/core/address-space';
import type { Transport } from '@virtio-platform/core/device';
import { FeatureSet, VIRTIO_F_VERSION_1 } from '@virtio-platform/core/features';
import { RING_FEATURES } from '@virtio-platform/core/queue';
import block, { BLOCK_SETTINGS } from '@virtio-platform/device-block';
import consoleType, { CONSOLE_SETTINGS } from '@virtio-platform/device-console';
import entropy, { ENTROPY_SETTINGS } from '@virtio-platform/device-entropy';
import net, { NET_SETTINGS } from '@virtio-platform/device-net';
import scsi, { SCSI_SETTINGS } from '@virtio-platform/device-scsi';
import { InProcessTransport, SimulatedDevice, SimulatedMmio } from '@virtio-platform/machine-simulated';
import { MMIO, openMmioTransport, type MmioRegisters } from '@virtio-platform/mmio';
import { NO_MSIX, PciLegacyTransport, PciModernTransport } from '@virtio-platform/pci';
import { composeRun, loadProfiles, type ComposedRun, type Profile } from '@virtio-platform/profile';
import { RunSession } from '@virtio-platform/runner';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { HostileModel } from './hostile-model.ts';
import { Random } from '@virtio-platform/conformance';
import { SimulatedFunction } from './simulated-function.ts';

/** Devices tried through each transport; `VIRTIO_PLATFORM_SWEEP=1000` tries more, `VIRTIO_PLATFORM_SEED=2` others. */
const COUNT = Number(process.env['VIRTIO_PLATFORM_SWEEP'] ?? 25);
const SEED = Number(process.env['VIRTIO_PLATFORM_SEED'] ?? 1);

const WORKLOADS = {
  block: 'kind: write-read-verify, requests: 6, depth: 2, blockSize: 4KiB',
  net: 'kind: echo, requests: 6, depth: 2, blockSize: 1515B',
  console: 'kind: echo, requests: 6, depth: 2, blockSize: 100B',
  entropy: 'kind: read, requests: 6, depth: 2, blockSize: 64B',
  scsi: 'kind: mixed, requests: 6, depth: 2, blockSize: 4KiB',
} as const;
type Type = keyof typeof WORKLOADS;

/** The right device of each type, which the hostile one is made from. */
const RIGHT: Readonly<Record<Type, { readonly type: DeviceTypePlugin; readonly model: () => DeviceModel }>> = {
  block: { type: block, model: () => block.model(BLOCK_SETTINGS.parse({ capacity: '1MiB', queues: 2 }), 'little') },
  net: { type: net, model: () => net.model(NET_SETTINGS.parse({ queuePairs: 2 }), 'little') },
  console: { type: consoleType, model: () => consoleType.model(CONSOLE_SETTINGS.parse({ ports: 2 }), 'little') },
  scsi: { type: scsi, model: () => scsi.model(SCSI_SETTINGS.parse({ queues: 2 }), 'little') },
  entropy: { type: entropy, model: () => entropy.model(ENTROPY_SETTINGS.parse({ seed: 1 }), 'little') },
};

const TRANSPORTS = [
  'same thread, modern',
  'same thread, legacy',
  'PCI, modern',
  'PCI, legacy',
  'MMIO, modern',
  'MMIO, legacy',
] as const;

const folder = mkdtempSync(join(tmpdir(), 'virtio-platform-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** Values that are right in one field or another, and such as are wrong in most. */
const TELLING = [0, 1, 2, 3, 4, 15, 31, 511, 512, 513, 1024, 4096, 0x7fff, 0x8000, 0xffff, 0x1_0000, 0xffff_ffff];

/** A configuration space: that of a right device, with some fields changed, or shorter, or anything at all. */
function configOf(random: Random, right: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(Math.max(64, right.length));
  bytes.set(right);
  const view = new DataView(bytes.buffer);
  if (random.chance(15)) bytes.forEach((_, i) => (bytes[i] = random.below(256)));
  for (let i = random.below(4); i > 0; i--) view.setUint32(4 * random.below(10), random.pick(TELLING), true);
  for (let i = random.below(3); i > 0; i--) view.setUint16(2 * random.below(20), random.pick(TELLING) & 0xffff, true);
  return bytes.subarray(0, random.chance(30) ? random.below(45) : bytes.length);
}

function openTransport(which: (typeof TRANSPORTS)[number], name: Type, random: Random, run: ComposedRun): Transport {
  const isLegacy = which.endsWith('legacy');
  const { type } = RIGHT[name];
  const right = RIGHT[name].model();
  const ofType = type.driver.features;
  const chosen = ofType.bits === 0n ? FeatureSet.EMPTY : new FeatureSet(ofType.bits & BigInt(random.next()));
  const ring = random.chance(50) ? new FeatureSet(RING_FEATURES.bits & BigInt(random.next())) : FeatureSet.EMPTY;
  const features = random.chance(40) ? right.features : chosen;
  const config = configOf(random, right.config);
  const sizes = random.chance(70)
    ? right.queueSizes
    : right.queueSizes.map(() => random.pick([0, 1, 2, 3, 7, 64, 0xffff]));
  const model = new HostileModel(right, { features, config, queueSizes: sizes });
  const faults = new FaultLog();
  const space = PHYSICAL_ADDRESS_SPACE.open(run.machine.memory, faults, undefined);
  const offers = new FeatureSet(features.bits | ring.bits);
  const device = new SimulatedDevice(model, space, {
    type,
    interface: isLegacy ? 'legacy' : 'modern',
    offers: isLegacy ? new FeatureSet(offers.bits & 0xffff_ffffn) : offers.with(VIRTIO_F_VERSION_1),
    byteOrder: 'little',
    onFault: 'needs-reset',
    rogue: [],
    demands: 0n,
    driverPrivilege: 'kernel',
    experimental: undefined,
    isOneToOne: () => true,
  });
  if (which.startsWith('same')) {
    const carries = new FeatureSet(isLegacy ? 0xffff_ffffn : (1n << 64n) - 1n);
    return new InProcessTransport(device, type.id, isLegacy ? 'legacy' : 'modern', carries);
  }
  if (which.startsWith('MMIO')) {
    const registers = new SimulatedMmio(device, type, isLegacy ? 'legacy' : 'modern');
    return openMmioTransport(lyingRegisters(registers, random), isLegacy ? 'legacy' : 'modern', {
      signal: registers.signal,
    });
  }
  const pci = new SimulatedFunction(device, {
    deviceId: type.id,
    interface: isLegacy ? 'legacy' : 'modern',
    configBytes: config.length,
    queueCount: random.chance(80) ? undefined : random.pick([0, 1, 3, 64, 1024, 0xffff]),
    // A size that is another one each time it is read.
    queueSize: random.chance(85) ? undefined : () => random.pick([0, 1, 3, 64, 256, 0x8000, 0xffff]),
    notifyOff: random.chance(85) ? undefined : () => random.pick([0, 1, 100, 0xffff]),
  });
  return isLegacy ? new PciLegacyTransport(pci, NO_MSIX) : new PciModernTransport(pci, NO_MSIX);
}

/** Registers of which one may read as another value each time: not Status, without which no reset is confirmed. */
function lyingRegisters(registers: SimulatedMmio, random: Random): MmioRegisters {
  const { name, size } = registers;
  const lies = [MMIO.Version, MMIO.QueueNumMax, MMIO.QueueReady, MMIO.QueuePFN];
  const liar = random.chance(60) ? undefined : random.pick(lies);
  return {
    name,
    size,
    read: (offset, width) => (offset === liar && random.chance(50) ? random.next() : registers.read(offset, width)),
    write: (offset, width, value) => registers.write(offset, width, value),
  };
}

/** Drives a device to the end. Returns the code of what went wrong, or `completed`. */
async function drive(run: ComposedRun): Promise<string> {
  const session = new RunSession(run);
  let outcome = 'refused';
  try {
    if (session.negotiation.refusal === undefined) {
      await session.start();
      await session.run();
      outcome = session.workload?.verified ? 'completed' : 'not verified';
    }
  } catch (error) {
    if (!isCodedError(error)) throw error;
    outcome = error.code;
  } finally {
    session.end();
    const { live } = session.dma;
    session.dispose();
    if (live !== 0) outcome = `problem: ${live} mappings are live after ${outcome}`;
  }
  return outcome;
}

/** The profile of a driver for a device of this type. */
async function load(type: Type): Promise<Profile> {
  const path = join(folder, `${type}.yaml`);
  writeFileSync(
    path,
    `profile: hostile
platform: { use: "@virtio-platform/platform-legacy" }
machine: { use: "@virtio-platform/machine-simulated", memory: 16MiB }
device: { type: ${type} }
driver: { buffers: streaming, timeout: 5s }
queue: { layout: packed, size: 64 }
workload: { ${WORKLOADS[type]}, seed: 3 }
`,
  );
  return (await loadProfiles(path))[0]!;
}

describe.each(['block', 'net', 'console', 'entropy', 'scsi'] as const)('a %s device that says anything', (type) => {
  let profile: Profile;
  let legacy: Profile;

  beforeAll(async () => {
    profile = await load(type);
    legacy = { ...profile, queue: { ...profile.queue, layout: 'split' } };
  });

  it.each(TRANSPORTS)(`Borders C11 ends by code, or works, and leaks nothing: %s (${COUNT} of them)`, async (which) => {
    const random = new Random(SEED + TRANSPORTS.indexOf(which));
    const outcomes = new Map<string, number>();
    for (let i = 0; i < COUNT; i++) {
      const run = await composeRun(which.endsWith('legacy') ? legacy : profile);
      const { machine } = run;
      const before = machine.memory.allocated;
      let outcome: string;
      try {
        const transport = openTransport(which, type, random, run);
        outcome = await drive({ ...run, machine: { ...machine, transport } });
      } catch (error) {
        if (!isCodedError(error)) throw error;
        outcome = error.code;
      }
      expect(machine.memory.allocated - before, `device ${i}: ${outcome}`).toBe(0);
      expect(outcome, `device ${i}`).not.toMatch(/problem|ERR_DEVICE_STALLED/);
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
      await run.dispose();
    }
    if (process.env['VIRTIO_PLATFORM_SWEEP'] !== undefined) console.info(type, which, Object.fromEntries(outcomes));
    expect(outcomes.size).toBeGreaterThan(type === 'entropy' ? 0 : 1);
  });
});
