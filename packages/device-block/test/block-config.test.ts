import { BLOCK_CONFIG, readBlockConfig, VIRTIO_BLK_F_MQ } from '@virtio-platform/device-block';
import { configSize } from '@virtio-platform/core';
import { FeatureSet, VIRTIO_F_VERSION_1 } from '@virtio-platform/core/features';
import { describe, expect, it } from 'vitest';
import { RegisterTransport } from '@virtio-platform/conformance/testing';

const VERSION = FeatureSet.of(VIRTIO_F_VERSION_1);
/** Without other features a device need have its capacity only. */
const SHORT = 8;

/** How many queues a driver uses of a device that has two and tells another number. */
function queuesOf(told: number, byteOrder: 'little' | 'big' = 'little'): number {
  const offered = VERSION.with(VIRTIO_BLK_F_MQ);
  const transport = new RegisterTransport({ offered, configBytes: configSize(BLOCK_CONFIG) });
  new DataView(transport.config.buffer).setUint16(BLOCK_CONFIG.num_queues.offset, told, byteOrder === 'little');
  return readBlockConfig({ transport, accepted: offered, byteOrder }).queues;
}

describe('the queues that a block driver uses', () => {
  it.each([
    [1, 1],
    [2, 2],
    [3, 2],
    [65_535, 2],
  ])('of a device that has two and says %d are %d', (told, queues) => {
    expect(queuesOf(told)).toBe(queues);
  });

  it('are told in the byte order of a legacy guest', () => {
    expect([queuesOf(2, 'big'), queuesOf(0x0100, 'big')]).toEqual([2, 2]);
    expect(queuesOf(1, 'big')).toBe(1);
  });

  it('C11 are one without MQ, and the field is not read', () => {
    const transport = new RegisterTransport({ offered: VERSION, configBytes: SHORT });
    let end = 0;
    const read = transport.readConfig.bind(transport);
    transport.readConfig = (offset, target) => {
      end = Math.max(end, offset + target.length);
      read(offset, target);
    };
    expect([readBlockConfig({ transport, accepted: VERSION, byteOrder: 'little' }).queues, end]).toEqual([1, SHORT]);
  });
});
