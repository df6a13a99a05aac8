import { describeTransport } from '@virtio-platform/conformance';
import { ringFeatures, ringOptions } from '@virtio-platform/conformance/testing';
import { DeviceStatus, type DeviceInterface } from '@virtio-platform/core/device';
import { FeatureSet, VIRTIO_F_RING_RESET, VIRTIO_F_VERSION_1 } from '@virtio-platform/core/features';
import { openVirtqueue, ScatterList, splitLayout } from '@virtio-platform/core/queue';
import console, { CONSOLE_CONFIG, ConsoleDevice } from '@virtio-platform/device-console';
import entropy from '@virtio-platform/device-entropy';
import { SimulatedMmio } from '@virtio-platform/machine-simulated';
import { MMIO, MmioLegacyTransport, MmioModernTransport } from '@virtio-platform/mmio';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import event, { EVENT_CONFIG } from './event-device.ts';
import { openSimulatedDevice } from './open-simulated-device.ts';
import { testMachine } from './test-machine.ts';

const { Acknowledge, Driver, FeaturesOk, DriverOk } = DeviceStatus;
/** Bytes of struct virtio_blk_config up to the write zeroes fields. */
const BLOCK_CONFIG_BYTES = 60;

describe.each(['modern', 'legacy'] as const)('a device of the embedded machine on mmio, %s', (driverInterface) => {
  describeTransport('through its registers', {
    async setup() {
      const interfaces = { interface: driverInterface, driverInterface } as const;
      const { transport } = await testMachine({ device: interfaces, options: { transport: 'mmio' } }).boot();
      return { transport, configBytes: BLOCK_CONFIG_BYTES };
    },
  });
});

/** The registers of an entropy device. */
function openRegisters(
  deviceInterface: DeviceInterface = 'modern',
  ...features: number[]
): { registers: SimulatedMmio } & ReturnType<typeof openSimulatedDevice> {
  const offers = deviceInterface === 'modern' ? ringFeatures('split', ...features) : FeatureSet.EMPTY;
  const opened = openSimulatedDevice(entropy.model({ seed: 1 }, 'little'), offers, entropy, deviceInterface);
  return { ...opened, registers: new SimulatedMmio(opened.device, entropy, deviceInterface) };
}

describe('SimulatedMmio', () => {
  it('serves a queue that was set up by registers, interrupts until that is acknowledged, and counts from 0', () => {
    const { registers, memory, mapping } = openRegisters();
    const transport = new MmioModernTransport(registers);
    transport.writeStatus(Acknowledge | Driver);
    transport.writeDriverFeatures(transport.readDeviceFeatures());
    transport.writeStatus(Acknowledge | Driver | FeaturesOk);
    const queue = openVirtqueue('split', memory, mapping, ringOptions({ size: 4 }));
    transport.enableQueue(0, queue.addresses);
    transport.writeStatus(Acknowledge | Driver | FeaturesOk | DriverOk);
    const list = new ScatterList(1);
    list.addWritable(0x8000, 16);
    queue.add(list);
    queue.publish();
    expect(registers.read(MMIO.InterruptStatus, 4)).toBe(0);
    transport.notify(0, queue.nextAvailable);
    expect([1, 2].map(() => registers.read(MMIO.InterruptStatus, 4))).toEqual([1, 1]);
    expect([transport.wait(0), registers.read(MMIO.InterruptStatus, 4), transport.wait(0)]).toEqual([
      'notified',
      0,
      'timeout',
    ]);
    expect(memory.u8.subarray(0x8000, 0x8010).some((byte) => byte !== 0)).toBe(true);
    transport.writeStatus(0);
    expect([registers.read(MMIO.QueueReady, 4), registers.read(MMIO.Status, 4)]).toEqual([0, 0]);
  });

  it('sets a legacy queue up by page size, alignment and page number', () => {
    const { registers, device, memory } = openRegisters('legacy');
    const transport = new MmioLegacyTransport(registers);
    const base = memory.allocate(2 * 4096);
    const size = transport.maxQueueSize(0);
    const { driverOffset, deviceOffset } = splitLayout(size, 4096);
    const areas = [base, base + driverOffset, base + deviceOffset];
    transport.enableQueue(0, { size, words: Uint32Array.from(areas.flatMap((address) => [address, 0])) });
    expect([registers.read(MMIO.QueuePFN, 4), device.isQueueReset(0), device.status]).toEqual([base / 4096, false, 0]);
    registers.write(MMIO.QueuePFN, 4, 0);
    expect([registers.read(MMIO.QueuePFN, 4), device.isQueueReset(0)]).toEqual([0, true]);
  });

  it('asks for a reset by a change of configuration where the driver wrote a wrong legacy queue', () => {
    const { registers, device } = openRegisters('legacy');
    registers.write(MMIO.QueueNum, 4, 3);
    registers.write(MMIO.QueuePFN, 4, 1);
    expect(device.status & DeviceStatus.NeedsReset).not.toBe(0);
    expect(registers.read(MMIO.InterruptStatus, 4)).toBe(2);
  });

  it('resets one queue with RING_RESET', () => {
    const { registers, memory, mapping } = openRegisters('modern', VIRTIO_F_RING_RESET);
    const transport = new MmioModernTransport(registers);
    transport.writeDriverFeatures(FeatureSet.of(VIRTIO_F_VERSION_1, VIRTIO_F_RING_RESET));
    transport.enableQueue(0, openVirtqueue('split', memory, mapping, ringOptions({ size: 4 })).addresses);
    expect(transport.isQueueReset(0)).toBe(false);
    transport.resetQueue(0);
    expect([transport.isQueueReset(0), registers.read(MMIO.QueueReset, 4)]).toEqual([true, 0]);
  });

  it('interrupts with a changed configuration alone, and tells its listener in the event loop', async () => {
    const { device } = openSimulatedDevice(event.model({}, 'little'), ringFeatures('split'), event);
    const registers = new SimulatedMmio(device, event, 'modern');
    const transport = new MmioModernTransport(registers, { signal: registers.signal });
    transport.writeDriverFeatures(ringFeatures('split'));
    for (const status of [Acknowledge, Driver, FeaturesOk, DriverOk]) transport.writeStatus(device.status | status);
    const told = new Promise<void>((resolve) => transport.watch!(resolve));
    const before = transport.configGeneration();
    registers.write(MMIO.Config + EVENT_CONFIG.trigger.offset, 1, 1);
    await told;
    expect(transport.configGeneration()).not.toBe(before);
    expect(registers.read(MMIO.InterruptStatus, 4)).toBe(2);
    expect([transport.wait(0), transport.takeConfigChange()]).toEqual(['notified', true]);
  });

  it('writes a field of the configuration whole, and byte by byte', () => {
    const model = new ConsoleDevice({ columns: 80, rows: 25, ports: 1, queueSize: 32, byteOrder: 'little' });
    const { device } = openSimulatedDevice(model, ringFeatures('split'), console);
    const registers = new SimulatedMmio(device, console, 'modern');
    const { offset } = CONSOLE_CONFIG.emerg_wr;
    new MmioModernTransport(registers).writeConfig(offset, Uint8Array.of(0x41, 0, 0, 0));
    registers.write(MMIO.Config + offset, 1, 0x42);
    registers.write(MMIO.Config + CONSOLE_CONFIG.cols.offset, 2, 7);
    expect([model.emergency, model.config[CONSOLE_CONFIG.cols.offset]]).toEqual(['AB', 80]);
  });

  it('takes any writes of a driver, and stays within its registers', () => {
    const write = fc.record({
      offset: fc.integer({ min: 0, max: 0x7f }).map((word) => word * 4),
      width: fc.constantFrom(1 as const, 2 as const, 4 as const),
      value: fc.oneof(fc.integer({ min: 0, max: 15 }), fc.integer({ min: 0, max: 0xffff_ffff })),
    });
    fc.assert(
      fc.property(fc.constantFrom('modern' as const, 'legacy' as const), fc.array(write), (which, writes) => {
        const { registers, device } = openRegisters(which);
        for (const { offset, width, value } of writes) {
          registers.write(offset, width, value % 2 ** (8 * width));
          const read = registers.read(offset, width);
          expect(read >= 0 && read < 2 ** (8 * width)).toBe(true);
        }
        registers.write(MMIO.Status, 4, 0);
        expect([device.status, device.isQueueReset(0), registers.read(MMIO.InterruptStatus, 4)]).toEqual([0, true, 0]);
      }),
      { numRuns: 300 },
    );
  });
});
