import { NET_DRIVER_FEATURES, readNetConfig } from '@virtio-platform/device-net';
import { CONSOLE_DRIVER_FEATURES, readConsoleConfig } from '@virtio-platform/device-console';
import { VIRTIO_BLK_F_BLK_SIZE, BLOCK_DRIVER_FEATURES, readBlockConfig } from '@virtio-platform/device-block';
import { FeatureSet, VIRTIO_F_VERSION_1 } from '@virtio-platform/core/features';
import { RegisterTransport } from '@virtio-platform/conformance/testing';
import { describe, expect, it } from 'vitest';

/** By feature bit: the bytes of the fields that exist with it. Specification 1.4 sections 5.1.4, 5.2.4 and 5.3.4. */
const TYPES = [
  [
    'block',
    readBlockConfig,
    BLOCK_DRIVER_FEATURES,
    [
      [-1, 0, 8],
      [1, 8, 12],
      [2, 12, 16],
      [6, 20, 24],
      [12, 34, 36],
    ],
  ],
  [
    'net',
    readNetConfig,
    NET_DRIVER_FEATURES,
    [
      [5, 0, 6],
      [16, 6, 8],
      [22, 8, 10],
      [60, 8, 10],
      [3, 10, 12],
      [63, 12, 17],
      [57, 17, 18],
      [60, 17, 20],
      [57, 20, 24],
      [60, 20, 24],
      // The control queue has no field, and its place follows from one.
      [17, 0, 0],
    ],
  ],
  [
    'console',
    readConsoleConfig,
    CONSOLE_DRIVER_FEATURES,
    [
      [0, 0, 4],
      [1, 4, 8],
    ],
  ],
] as const;

describe.each(TYPES)('the configuration of a %s device', (_, read, features, fields) => {
  const ofFields = new Set<number>(fields.map(([bit]) => bit));
  const bits = [...ofFields].filter((bit) => bit >= 0 && features.has(bit));

  it('C11 is read only where a feature was accepted, whichever they are', () => {
    for (let subset = 0; subset < 2 ** bits.length; subset++) {
      const chosen = bits.filter((_bit, i) => (subset >> i) % 2 === 1);
      const accepted = FeatureSet.of(VIRTIO_F_VERSION_1, ...chosen);
      const transport = new RegisterTransport({ offered: accepted, configBytes: 64 });
      // Blocks of 512 bytes.
      transport.config.set([0, 2, 0, 0], 20);
      const touched = new Set<number>();
      const readConfig = transport.readConfig.bind(transport);
      transport.readConfig = (offset, target) => {
        for (let i = 0; i < target.length; i++) touched.add(offset + i);
        readConfig(offset, target);
      };
      read({ transport, accepted, byteOrder: 'little' });
      const allowed = fields.flatMap(([bit, from, to]) =>
        bit < 0 || accepted.has(bit) ? Array.from({ length: to - from }, (_unused, i) => from + i) : [],
      );
      expect([...touched].filter((byte) => !allowed.includes(byte))).toEqual([]);
    }
  });
});

describe('the blk_size of a block device', () => {
  it.each([0, 1, 256, 511, 513, 1000, 4097, 0xffff_ffff])('T7 is refused by code and clause: %d', (told) => {
    const offered = FeatureSet.of(VIRTIO_F_VERSION_1, VIRTIO_BLK_F_BLK_SIZE);
    const transport = new RegisterTransport({ offered, configBytes: 64 });
    new DataView(transport.config.buffer).setUint32(20, told, true);
    const read = (): unknown => readBlockConfig({ transport, accepted: offered, byteOrder: 'little' });
    expect(read).toThrow(expect.objectContaining({ code: 'ERR_DEVICE_CONFIG' }));
    expect(read).toThrow(new RegExp(`blk_size ${told}, .*5\\.2\\.4`));
  });

  it.each([512, 1024, 4096, 0x8000_0000])('T7 is believed: %d', (told) => {
    const offered = FeatureSet.of(VIRTIO_F_VERSION_1, VIRTIO_BLK_F_BLK_SIZE);
    const transport = new RegisterTransport({ offered, configBytes: 64 });
    new DataView(transport.config.buffer).setUint32(20, told, true);
    expect(readBlockConfig({ transport, accepted: offered, byteOrder: 'little' }).blockSize).toBe(told);
  });
});
