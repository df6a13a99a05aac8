import type { DeviceTypePlugin } from '@virtio-platform/core';
import balloon from '@virtio-platform/device-balloon';
import block from '@virtio-platform/device-block';
import console from '@virtio-platform/device-console';
import entropy from '@virtio-platform/device-entropy';
import net from '@virtio-platform/device-net';
import scsi from '@virtio-platform/device-scsi';
import { describe, expect, it } from 'vitest';

const TYPES: readonly Pick<DeviceTypePlugin, 'name' | 'features' | 'driver'>[] = [
  balloon,
  block,
  console,
  entropy,
  net,
  scsi,
];

describe('a feature that the specification has for a device type, and its driver half does not', () => {
  it.each(TYPES)('has a reason, which explain prints: $name', ({ features, driver }) => {
    const undriven = features.rows.filter(({ bit }) => !driver.features.has(bit));
    const without = undriven.filter(({ undriven: reason }) => reason === undefined).map(({ name }) => name);
    expect(without).toEqual([]);
    const driven = features.rows.filter(
      ({ bit, undriven: reason }) => reason !== undefined && driver.features.has(bit),
    );
    expect(driven.map(({ name }) => name)).toEqual([]);
  });
});
