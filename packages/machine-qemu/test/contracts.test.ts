import { describeDmaMapping, describeTransport } from '@virtio-platform/conformance';
import { deviceDescription } from '@virtio-platform/conformance/testing';
import block from '@virtio-platform/device-block';
import { GuestMemory } from '@virtio-platform/core/memory';
import type { DeviceInterface, Transport } from '@virtio-platform/core/device';
import { openMmioTransport } from '@virtio-platform/mmio';
import { NO_MSIX, PciLegacyTransport, PciModernTransport } from '@virtio-platform/pci';
import { PseriesPlatform, pseriesOptionsSchema } from '@virtio-platform/platform-pseries';
import { afterAll, beforeAll, describe } from 'vitest';
import { BoardSlot } from '../src/board/board-slot.ts';
import { openBoard, type OpenedBoard } from '../src/open-board.ts';
import { DEVICE_SLOT } from '../src/device-arguments.ts';
import { RESERVED_BYTES } from '../src/machine-memory.ts';
import type { BoardName } from '../src/board/board-name.ts';
import { HypercallMailbox } from '../src/pseries/hypercall-mailbox.ts';
import { QemuTceFacility } from '../src/pseries/qemu-tce-facility.ts';
import { Rtas } from '../src/pseries/pseries-board.ts';
import { SKIP, startBoard } from './installed-qemu.ts';

/** Bytes of struct virtio_blk_config up to the write zeroes fields, which QEMU 7.2 and later have. */
const CONFIG_BYTES = 60;

function openTransport(device: OpenedBoard['device'], driverInterface: DeviceInterface): Transport {
  if (device instanceof BoardSlot) return openMmioTransport(device, driverInterface);
  return driverInterface === 'legacy'
    ? new PciLegacyTransport(device, NO_MSIX)
    : new PciModernTransport(device, NO_MSIX);
}

describe.skipIf(SKIP).each<[BoardName, 'modern' | 'legacy']>([
  ['pc', 'legacy'],
  ['pc', 'modern'],
  ['q35', 'modern'],
  ['pseries', 'modern'],
  ['microvm', 'modern'],
  ['microvm', 'legacy'],
  ['virt', 'modern'],
  ['virt', 'legacy'],
])('a block device of QEMU on %s', (board, driverInterface) => {
  let started: Awaited<ReturnType<typeof startBoard>>;
  let opened: OpenedBoard['device'];

  beforeAll(async () => {
    const device = deviceDescription(block, { capacity: 1 << 20 }, { interface: driverInterface, driverInterface });
    started = await startBoard(board, { device });
    const { options, memory, backing, qtest } = started;
    opened = openBoard(options, memory, backing, qtest).device;
  });
  afterAll(() => started.dispose());

  describeTransport(`by its ${driverInterface} interface`, {
    setup: () => ({
      transport: openTransport(opened, driverInterface),
      configBytes: CONFIG_BYTES,
      ignoresUnoffered: true,
    }),
  });
});

describe.skipIf(SKIP)('the TCE tables of QEMU', () => {
  let started: Awaited<ReturnType<typeof startBoard>>;
  let tables: QemuTceFacility;

  beforeAll(async () => {
    started = await startBoard('pseries');
    const { memory, qtest } = started;
    const mailbox = new HypercallMailbox(memory, qtest, 5000);
    tables = new QemuTceFacility(memory, mailbox, new Rtas(memory, qtest), DEVICE_SLOT << 3);
  });
  afterAll(() => started.dispose());

  describe.each(['default', 'ddw'])('through the %s window', (kind) => {
    describeDmaMapping('page by page', {
      setup() {
        // Each check gets the same bytes, zeroed and without allocations.
        const { buffer } = started.backing;
        new Uint8Array(buffer, RESERVED_BYTES, 1 << 20).fill(0);
        const memory = new GuestMemory(buffer, RESERVED_BYTES);
        const options = pseriesOptionsSchema.parse({ window: { kind, mapping: 'dynamic' } });
        const platform = new PseriesPlatform(options, memory, { tables });
        const mapping = platform.openMapping('translated', { queue: 0, capacity: 16 });
        return { memory, mapping, revokes: true, dispose: () => platform.dispose() };
      },
    });
  });
});
