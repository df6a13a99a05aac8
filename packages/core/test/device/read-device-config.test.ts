import { readDeviceConfig } from '@virtio-platform/core/device';
import { FeatureSet } from '@virtio-platform/core/features';
import { describe, expect, it } from 'vitest';
import { RegisterTransport } from '@virtio-platform/conformance/testing';

describe('readDeviceConfig', () => {
  it('reads the bytes at the offset', () => {
    const transport = new RegisterTransport({ offered: FeatureSet.EMPTY });
    expect(readDeviceConfig(transport, 4, 4).getUint32(0, true)).toBe(0x08070605);
  });

  it('reads again until the generation stayed the same', () => {
    const transport = new RegisterTransport({ offered: FeatureSet.EMPTY, unstableReads: 7 });
    expect(readDeviceConfig(transport, 0, 1).getUint8(0)).toBe(1 + 7);
  });

  it('reads until two reads are equal on the legacy interface, which has no generation', () => {
    const transport = new RegisterTransport({ interface: 'legacy', offered: FeatureSet.EMPTY, unstableReads: 3 });
    expect(readDeviceConfig(transport, 0, 1).getUint8(0)).toBe(1 + 3);
  });

  it('gives up on a configuration that never holds still', () => {
    const transport = new RegisterTransport({ offered: FeatureSet.EMPTY, unstableReads: Infinity });
    expect(() => readDeviceConfig(transport, 0, 4)).toThrow(
      expect.objectContaining({ code: 'ERR_DEVICE_CONFIG_UNSTABLE' }),
    );
  });
});
