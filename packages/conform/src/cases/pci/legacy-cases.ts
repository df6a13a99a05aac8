import { BOTH_LAYOUTS, type ConformBench, returnsNothing } from '@virtio-platform/core';
import { DeviceStatus, type AccessWidth } from '@virtio-platform/core/device';
import { COMMON, NO_VECTOR } from '../../pci/common-registers.ts';
import { MessageMemory, UNTAKEN } from '../../pci/interrupt-mode.ts';
import { LEGACY, LEGACY_CONFIG, LegacyRegisters, type LegacyRegister } from '../../pci/legacy-registers.ts';
import { startLegacy } from '../../pci/legacy-ring.ts';
import type { PciBench } from '../../pci/pci-bench.ts';
import type { PciCase } from '../../pci/pci-case.ts';
import { CFG_TYPE } from '../../pci/virtio-capability.ts';

const CLAUSE = '4.1.4.10';
const { Acknowledge, Driver, DriverOk } = DeviceStatus;
const WIDTHS: readonly AccessWidth[] = [1, 2, 4];

function legacy(
  id: string,
  title: string,
  run: (bench: ConformBench, registers: LegacyRegisters, pci: PciBench) => void | Promise<void>,
  rest: Partial<PciCase> = {},
): PciCase {
  return {
    id: `pci/legacy/${id}`,
    clause: CLAUSE,
    level: 'MUST',
    title: `${title}, over its legacy interface`,
    run: async (bench, pci) => {
      bench.receiveBy(UNTAKEN);
      const registers = new LegacyRegisters(bench, pci);
      await bench.reset();
      pci.msix?.enable(false);
      await run(bench, registers, pci);
    },
    ...rest,
  };
}

/** Bytes of the device configuration that both interfaces show; skips the case where there are none. */
function shownBytes(bench: ConformBench, pci: PciBench, { bar }: LegacyRegisters): number {
  if (!pci.capabilities.some(({ type }) => type === CFG_TYPE.device)) bench.skip('the device has no configuration');
  const { bytes } = pci.structure(CFG_TYPE.device).capability;
  return Math.min(16, Math.floor(Math.min(bytes, bar.size - LEGACY_CONFIG.withMsix) / 4) * 4);
}

/** The configuration as the modern interface has it, in the order of bytes of a little-endian guest. */
function modernConfig(bench: ConformBench, pci: PciBench, bytes: number): string {
  if (bench.device.guestByteOrder === 'big') bench.skip('the legacy interface has its fields big-endian here');
  const device = pci.structure(CFG_TYPE.device);
  return Array.from({ length: bytes }, (_, at) => device.read(at, 1).toString(16).padStart(2, '0')).join('');
}

/** Registers and what they keep. */
const REGISTER_CASES: readonly PciCase[] = [
  legacy('features-stay', 'offers the same features after a reset', async (bench, registers) => {
    const before = registers.read(LEGACY.deviceFeatures);
    registers.write(LEGACY.status, Acknowledge);
    registers.write(LEGACY.status, 0);
    bench.equal('the device features', registers.read(LEGACY.deviceFeatures), before);
  }),
  legacy('features-read-only', 'keeps its features where a driver writes to them', (bench, registers) => {
    const before = registers.read(LEGACY.deviceFeatures);
    registers.write(LEGACY.deviceFeatures, 0);
    bench.equal('the device features', registers.read(LEGACY.deviceFeatures), before);
  }),
  legacy('driver-features-kept', 'has the features that the driver accepted', (bench, registers) => {
    registers.write(LEGACY.status, Acknowledge | Driver);
    // Without the bit by which QEMU finds drivers that accept everything.
    const offered = (registers.read(LEGACY.deviceFeatures) & ~(1 << 30)) >>> 0;
    registers.write(LEGACY.driverFeatures, offered);
    bench.equal('the driver features', registers.read(LEGACY.driverFeatures), offered);
  }),
  legacy('status-kept', 'has the status bits that the driver set', (bench, registers) => {
    for (const status of [Acknowledge, Acknowledge | Driver, Acknowledge | Driver | DriverOk]) {
      registers.write(LEGACY.status, status);
      bench.equal('the status', registers.read(LEGACY.status), status);
    }
  }),
  legacy('status-0-resets', 'resets where 0 is written to its status', (bench, registers, pci) => {
    registers.write(LEGACY.status, Acknowledge | Driver);
    registers.write(LEGACY.status, 0);
    bench.equal('the legacy status', registers.read(LEGACY.status), 0);
    bench.equal('device_status', pci.read(COMMON.status), 0);
  }),
  legacy('queue-sizes', 'has a power of 2 as the size of each queue', (bench, registers) => {
    for (let queue = 0; queue < bench.device.queueCount; queue++) {
      const size = registers.readOf(queue, LEGACY.queueSize);
      bench.check(size === 0 || Number.isInteger(Math.log2(size)), `queue ${queue} has ${size} entries`);
    }
  }),
  legacy('queue-size-read-only', 'keeps the size of a queue where a driver writes to it', (bench, registers) => {
    const before = registers.readOf(0, LEGACY.queueSize);
    registers.write(LEGACY.queueSize, before / 2);
    bench.equal('the queue size', registers.read(LEGACY.queueSize), before);
  }),
  legacy('no-queue', 'has a size of 0 for the queue behind its last one', (bench, registers, pci) => {
    bench.equal('the queue size', registers.readOf(pci.read(COMMON.numQueues), LEGACY.queueSize), 0);
  }),
  legacy('queue-select-kept', 'has the queue that the driver selected', (bench, registers) => {
    for (let queue = Math.min(bench.device.queueCount, 4) - 1; queue >= 0; queue--)
      bench.equal('queue select', registers.readOf(queue, LEGACY.queueSelect), queue);
  }),
  legacy('queue-address-at-first', 'has a queue address of 0 at first', (bench, registers) => {
    bench.equal('the queue address', registers.readOf(0, LEGACY.queueAddress), 0);
  }),
  legacy('queue-address-kept', 'has the queue address that the driver wrote', (bench, registers) => {
    registers.write(LEGACY.queueSelect, 0);
    registers.write(LEGACY.queueAddress, 0x123);
    bench.equal('the queue address', registers.readOf(0, LEGACY.queueAddress), 0x123);
  }),
  legacy('queue-address-reset', 'has a queue address of 0 after a reset', (bench, registers) => {
    registers.write(LEGACY.queueSelect, 0);
    registers.write(LEGACY.queueAddress, 0x123);
    registers.write(LEGACY.status, 0);
    bench.equal('the queue address', registers.readOf(0, LEGACY.queueAddress), 0);
  }),
  legacy(
    'queue-address-apart',
    'has a queue address of its own for each queue',
    (bench, registers) => {
      registers.write(LEGACY.queueSelect, 1);
      registers.write(LEGACY.queueAddress, 0x321);
      bench.equal('the address of queue 0', registers.readOf(0, LEGACY.queueAddress), 0);
    },
    { needs: [({ maxQueueSize }) => (maxQueueSize(1) > 0 ? undefined : 'it has one queue')] },
  ),
  legacy('isr-read-only', 'sets no bit of its interrupt status where a driver writes to it', (bench, registers) => {
    registers.read(LEGACY.isr);
    registers.write(LEGACY.isr, 3);
    bench.equal('the interrupt status', registers.read(LEGACY.isr), 0);
  }),
];

/** The device configuration, and where it is. */
const CONFIG_CASES: readonly PciCase[] = [
  ...WIDTHS.map((width) =>
    legacy(
      `config-by-${8 * width}`,
      `has the same configuration by accesses of ${8 * width} bits`,
      (bench, registers, pci) => {
        const bytes = shownBytes(bench, pci, registers);
        const right = modernConfig(bench, pci, bytes);
        bench.equal('the configuration', registers.config(LEGACY_CONFIG.withoutMsix, bytes, width), right);
      },
    ),
  ),
  legacy('config-with-msix', 'has its configuration 4 bytes later while MSI-X is enabled', (bench, registers, pci) => {
    const bytes = shownBytes(bench, pci, registers);
    const right = modernConfig(bench, pci, bytes);
    pci.requireMsix().enable(true);
    bench.equal('the configuration', registers.config(LEGACY_CONFIG.withMsix, bytes, 1), right);
  }),
  legacy(
    'config-moves-back',
    'has its configuration where it was once MSI-X is disabled again',
    (bench, registers, pci) => {
      const bytes = shownBytes(bench, pci, registers);
      const right = modernConfig(bench, pci, bytes);
      const msix = pci.requireMsix();
      msix.enable(true);
      msix.enable(false);
      bench.equal('the configuration', registers.config(LEGACY_CONFIG.withoutMsix, bytes, 1), right);
    },
  ),
];

/** Vectors, in the registers that are there with MSI-X. */
const VECTOR_CASES: readonly PciCase[] = [LEGACY.configVector, LEGACY.queueVector].flatMap((register) => [
  legacy(`${register.name}-kept`, `maps each vector to its ${register.name}`, (bench, registers, pci) => {
    const msix = pci.requireMsix();
    msix.enable(true);
    registers.write(LEGACY.queueSelect, 0);
    for (let vector = 0; vector < msix.size; vector++) {
      registers.write(register, vector);
      bench.equal(`the ${register.name}`, registers.read(register), vector);
    }
    registers.write(LEGACY.status, 0);
  }),
  legacy(
    `${register.name}-refused`,
    `returns NO_VECTOR in its ${register.name} for a vector that it does not have`,
    (bench, registers, pci) => {
      const msix = pci.requireMsix();
      msix.enable(true);
      registers.write(LEGACY.queueSelect, 0);
      registers.write(register, 0);
      registers.write(register, msix.size);
      bench.equal(`the ${register.name}`, registers.read(register), NO_VECTOR);
    },
    { isHostile: true },
  ),
  legacy(
    `${register.name}-after-reset`,
    `has NO_VECTOR in its ${register.name} after a reset`,
    (bench, registers, pci) => {
      pci.requireMsix().enable(true);
      registers.write(LEGACY.queueSelect, 0);
      registers.write(register, 0);
      registers.write(LEGACY.status, 0);
      // A reset may select another queue, and leaves MSI-X as it is.
      registers.write(LEGACY.queueSelect, 0);
      bench.equal(`the ${register.name}`, registers.read(register), NO_VECTOR);
    },
  ),
]);

/** Requests. */
const SERVING_CASES: readonly PciCase[] = [
  legacy('serves', 'serves requests', async (bench, registers) => {
    const ring = await startLegacy(bench, registers);
    for (let n = 0; n < 8; n++) await ring.serve(bench.layOut(n));
  }),
  legacy('serves-batches', 'serves several requests that are made available at once', async (bench, registers) => {
    const ring = await startLegacy(bench, registers);
    const given = Array.from({ length: 4 }, (_, n) => bench.layOut(n));
    for (const laid of given) ring.add(laid);
    ring.kick();
    let taken = 0;
    await bench.until('return all buffers', () => (ring.take() === undefined ? taken : ++taken) === given.length);
  }),
  legacy('serves-many', 'serves more requests than the ring has descriptors', async (bench, registers) => {
    const ring = await startLegacy(bench, registers);
    const laid = bench.layOut(0);
    for (let n = 0; n < Math.min(600, ring.size + 20); n++) await ring.serve(laid);
  }),
  legacy('isr-of-request', 'sets the interrupt status for a used buffer', async (bench, registers) => {
    const ring = await startLegacy(bench, registers);
    registers.read(LEGACY.isr);
    await ring.serve(bench.layOut(0));
    let isr = 0;
    await bench.until('set the interrupt status', () => (isr = registers.read(LEGACY.isr)) !== 0);
    bench.equal('the interrupt status', isr & 1, 1);
  }),
  legacy('isr-cleared', 'has an interrupt status of 0 once the driver has read it', async (bench, registers) => {
    const ring = await startLegacy(bench, registers);
    await ring.serve(bench.layOut(0));
    await bench.until('set the interrupt status', () => registers.read(LEGACY.isr) !== 0);
    bench.equal('the interrupt status, read again,', registers.read(LEGACY.isr), 0);
  }),
  legacy(
    'suppressed',
    'sets no interrupt status where the driver wants no notification',
    async (bench, registers) => {
      const ring = await startLegacy(bench, registers);
      ring.wantNotifications(false);
      registers.read(LEGACY.isr);
      for (let n = 0; n < 3; n++) await ring.serve(bench.layOut(n));
      await bench.settle();
      bench.equal('the interrupt status', registers.read(LEGACY.isr), 0);
    },
    { level: 'SHOULD', clause: '2.7.7.2' },
  ),
  legacy('message', 'sends the message of the vector of a queue', async (bench, registers, pci) => {
    const msix = pci.messageVectors();
    const last = msix.size - 1;
    let memory: MessageMemory | undefined;
    const ring = await startLegacy(bench, registers, () => {
      memory = new MessageMemory(bench, msix);
      registers.write(LEGACY.queueVector, last);
      bench.equal('the queue vector', registers.read(LEGACY.queueVector), last);
    });
    await ring.serve(bench.layOut(0));
    await bench.until('send the message', () => memory!.take(last) !== 0);
  }),
  legacy('touches-nothing-after-reset', 'takes no buffer after a reset', async (bench, registers) => {
    const ring = await startLegacy(bench, registers);
    await ring.serve(bench.layOut(0));
    registers.write(LEGACY.status, 0);
    ring.add(bench.layOut(1));
    ring.kick();
    await returnsNothing(bench, ring, 'it returned a buffer after the reset');
  }),
  legacy('again', 'serves again after a reset', async (bench, registers) => {
    for (let n = 0; n < 3; n++) {
      const ring = await startLegacy(bench, registers);
      await ring.serve(bench.layOut(n));
      registers.write(LEGACY.status, 0);
    }
  }),
  legacy('modern-afterwards', 'serves a modern driver after a legacy one', async (bench, registers) => {
    const ring = await startLegacy(bench, registers);
    await ring.serve(bench.layOut(0));
    await bench.start();
    await bench.serve(bench.layOut(1));
  }),
  legacy(
    'after-modern',
    'serves a legacy driver, with no feature above bit 31, after a modern one',
    async (bench, registers, pci) => {
      await bench.start();
      await bench.serveMany(5, 1);
      await bench.reset();
      pci.msix?.enable(false);
      const ring = await startLegacy(bench, registers);
      for (let n = 0; n < 3; n++) await ring.serve(bench.layOut(n));
    },
    { layouts: BOTH_LAYOUTS },
  ),
];

/** What a legacy driver may not do. */
const HOSTILE: readonly (readonly [id: string, title: string, act: (registers: LegacyRegisters) => void])[] = [
  ['address-nowhere', 'a queue at the last page', (registers) => registers.write(LEGACY.queueAddress, 0xffff_ffff)],
  ['address-0', 'a queue address of 0 while it is at work', (registers) => registers.write(LEGACY.queueAddress, 0)],
  [
    'address-of-no-queue',
    'an address of a queue that is none',
    (registers) => {
      registers.write(LEGACY.queueSelect, 0x3ff);
      registers.write(LEGACY.queueAddress, 1);
    },
  ],
  [
    'notify-no-queue',
    'a notification of a queue that is none',
    (registers) => registers.write(LEGACY.queueNotify, 0x3ff),
  ],
  ['notify-0xffff', 'a notification of 0xffff', (registers) => registers.write(LEGACY.queueNotify, 0xffff)],
  ['features-of-ones', 'all features', (registers) => registers.write(LEGACY.driverFeatures, 0xffff_ffff)],
  ['status-0xff', 'a status of 0xff', (registers) => registers.write(LEGACY.status, 0xff)],
  ['status-0x40', 'a status of 0x40', (registers) => registers.write(LEGACY.status, 0x40)],
  ['status-features-ok', 'FEATURES_OK, which it does not know', (registers) => registers.write(LEGACY.status, 0x0f)],
  ['select-0xffff', 'the selection of queue 0xffff', (registers) => registers.write(LEGACY.queueSelect, 0xffff)],
];

/** Registers by widths that are not their own. */
const WRONG_WIDTHS: readonly (readonly [LegacyRegister, AccessWidth])[] = Object.values(LEGACY)
  .filter(({ offset }) => offset < LEGACY_CONFIG.withoutMsix)
  .flatMap((register) =>
    WIDTHS.filter((width) => width !== register.width && register.offset % width === 0).map(
      (width) => [register, width] as const,
    ),
  );

const HOSTILE_CASES: readonly PciCase[] = [
  ...HOSTILE.map(([id, title, act]) =>
    legacy(
      `hostile-${id}`,
      `survives ${title}`,
      async (bench, registers) => {
        registers.write(LEGACY.status, Acknowledge | Driver);
        registers.write(LEGACY.queueSelect, 0);
        registers.write(LEGACY.status, Acknowledge | Driver | DriverOk);
        act(registers);
        await bench.settle();
      },
      { isHostile: true },
    ),
  ),
  ...WRONG_WIDTHS.flatMap(([{ name, offset }, width]) =>
    (['read', 'write'] as const).map((what) =>
      legacy(
        `${what}-${name}-by-${8 * width}`,
        `survives a ${what} of ${name} by ${8 * width} bits`,
        async (bench, { bar }) => {
          if (what === 'read') bar.read(offset, width);
          else bar.write(offset, width, 1);
          await bench.settle();
        },
        { isHostile: true },
      ),
    ),
  ),
];

/** The legacy interface of a transitional device (section 4.1.4.10). */
export const PCI_LEGACY_CASES: readonly PciCase[] = [
  ...REGISTER_CASES,
  ...CONFIG_CASES,
  ...VECTOR_CASES,
  ...SERVING_CASES,
  ...HOSTILE_CASES,
];
