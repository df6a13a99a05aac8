import { describeTransport } from '@virtio-platform/conformance';
import { FeatureSet, VIRTIO_RING_F_EVENT_IDX } from '@virtio-platform/core/features';
import { splitLayout } from '@virtio-platform/core/queue';
import { describe, expect, it } from 'vitest';
import { MmioLegacyTransport } from '../src/mmio-legacy-transport.ts';
import { MMIO } from '../src/mmio-registers.ts';
import { openMmioTransport } from '../src/open-mmio-transport.ts';
import { CONFIG_BYTES, MmioDevice, type MmioDeviceOptions } from './mmio-device.ts';

const FRAME = 5;

/** The areas of a queue of `size` entries at page {@link FRAME}. */
function addresses(size: number): { size: number; words: Uint32Array } {
  const { driverOffset, deviceOffset } = splitLayout(size, 4096);
  const at = FRAME * 4096;
  return { size, words: Uint32Array.of(at, 0, at + driverOffset, 0, at + deviceOffset, 0) };
}

function open(options: MmioDeviceOptions = {}): { device: MmioDevice; transport: MmioLegacyTransport } {
  const features = FeatureSet.of(9, VIRTIO_RING_F_EVENT_IDX);
  const device = new MmioDevice({ version: 1, features, ...options });
  const transport = new MmioLegacyTransport(device);
  device.log.length = 0;
  return { device, transport };
}

function refusal(text: RegExp): unknown {
  return expect.objectContaining({ code: 'ERR_DEVICE_CONFIG', message: expect.stringMatching(text) });
}

describeTransport('MmioLegacyTransport', {
  setup: () => ({ transport: open().transport, configBytes: CONFIG_BYTES }),
});

describe('MmioLegacyTransport', () => {
  it('refuses a modern device, and is opened for a legacy one', () => {
    expect(() => new MmioLegacyTransport(new MmioDevice())).toThrow(refusal(/a modern device, and a legacy driver/));
    expect(openMmioTransport(new MmioDevice({ version: 1 }), 'legacy').interface).toBe('legacy');
    expect(openMmioTransport(new MmioDevice(), 'modern').interface).toBe('modern');
  });

  it('has 32 features', () => {
    const { device, transport } = open();
    expect(transport.readDeviceFeatures().bits).toBe(FeatureSet.of(9, VIRTIO_RING_F_EVENT_IDX).bits);
    transport.writeDriverFeatures(FeatureSet.of(9));
    expect(device.driverFeatures).toBe(FeatureSet.of(9).bits);
    expect(device.log).toEqual(['w14=0/4', 'r10/4', 'w24=0/4', 'w20=200/4']);
  });

  it('sets a queue up in the order of the specification, and says the page size once before', () => {
    const { device, transport } = open();
    transport.enableQueue(1, addresses(32));
    const queue = ['r40/4', 'w38=20/4', 'w3c=1000/4', 'w40=5/4', 'r40/4'];
    expect(device.log).toEqual(['w28=1000/4', 'w30=1/4', ...queue]);
    device.log.length = 0;
    transport.enableQueue(0, addresses(32));
    expect(device.log).toEqual(['w30=0/4', ...queue]);
    expect([transport.isQueueReset(1), transport.isQueueReset(2)]).toEqual([false, true]);
    transport.writeStatus(0);
    expect(transport.isQueueReset(1)).toBe(true);
    device.log.length = 0;
    transport.enableQueue(0, addresses(32));
    expect(device.log[0]).toBe('w28=1000/4');
  });

  it('asks for the sizes of its queues before any is in use', () => {
    const { device, transport } = open();
    expect([transport.queueCount, transport.maxQueueSize(2)]).toEqual([3, 64]);
    transport.enableQueue(0, addresses(16));
    device.log.length = 0;
    expect([transport.queueCount, transport.maxQueueSize(0), device.log]).toEqual([3, 16, []]);
  });

  it('refuses a device that has a queue in use before, or does not take its page', () => {
    const used = open();
    used.device.setQueueRegister(0, MMIO.QueuePFN, 9);
    expect(() => used.transport.enableQueue(0, addresses(16))).toThrow(refusal(/9, not 0, in QueuePFN of queue 0/));
    let reads = 0;
    const deaf = open({ lies: { [MMIO.QueuePFN]: (truth) => (reads++ === 0 ? truth : 0) } });
    expect(() => deaf.transport.enableQueue(0, addresses(16))).toThrow(refusal(/0, not 5, in QueuePFN of queue 0/));
  });

  it('refuses a queue that one number cannot say', () => {
    const { device, transport } = open();
    const elsewhere = { ...addresses(16), words: addresses(16).words.with(4, 0x9000) };
    expect(() => transport.enableQueue(0, elsewhere)).toThrow(expect.objectContaining({ code: 'ERR_DMA_RANGE' }));
    expect(device.log).toEqual([]);
  });

  it('accesses configuration byte by byte, and has no generation', () => {
    const { device, transport } = open();
    const target = new Uint8Array(4);
    transport.readConfig(4, target);
    expect([[...target], transport.configGeneration()]).toEqual([[0x14, 0x15, 0x16, 0x17], 0]);
    expect(device.log).toEqual(['r104/1', 'r105/1', 'r106/1', 'r107/1']);
  });

  it('notifies by the index of the queue', () => {
    const { device, transport } = open();
    transport.notify(1, 0x7777);
    expect(device.log).toEqual(['w50=1/4']);
    expect(() => transport.resetQueue(1)).toThrow(TypeError);
  });
});
