import { PHYSICAL_ADDRESS_SPACE } from '@virtio-platform/core/address-space';
import {
  FeatureSet,
  NO_DEVICE_FEATURES,
  VIRTIO_F_RING_RESET,
  VIRTIO_F_VERSION_1,
} from '@virtio-platform/core/features';
import { describe, expect, it } from 'vitest';
import plugin from '../src/index.js';
import { TinyMachine } from '../src/tiny-machine.js';

/** Of the device types only what the machine looks at. */
const ENTROPY = { id: 4, name: 'entropy', features: NO_DEVICE_FEATURES };
const BLOCK = { id: 2, name: 'block', features: NO_DEVICE_FEATURES };

const MODERN = { type: ENTROPY, interface: 'modern', driverInterface: 'modern', offers: undefined, settings: {} };

/** What a profile asks of the machine, with another device or without a platform. */
function request({ simulate = simulatePlain, ...device } = {}) {
  return { memory: 2 ** 20, device: { ...MODERN, ...device }, needs: [], simulate, baseDirectory: '.' };
}

function simulatePlain() {
  return { facilities: new Map(), addressSpace: () => PHYSICAL_ADDRESS_SPACE };
}

function validate(options) {
  return plugin.options['~standard'].validate(options);
}

describe('the tiny machine', () => {
  it('boots to memory and a device that offers what it can do, and ends', async () => {
    const { memory, transport, dispose } = await new TinyMachine(request(), '/dev/urandom').boot();
    expect([memory.size, transport.deviceId]).toEqual([2 ** 20, 4]);
    expect(transport.readDeviceFeatures().has(VIRTIO_F_VERSION_1)).toBe(true);
    await dispose();
  });

  it.each([
    ['a disk', { type: BLOCK }, 'ERR_DEVICE_IMPOSSIBLE', 'a block device'],
    ['a legacy driver', { driverInterface: 'legacy' }, 'ERR_DEVICE_IMPOSSIBLE', 'a legacy device'],
    ['a seed', { settings: { seed: 7 } }, 'ERR_DEVICE_IMPOSSIBLE', 'a device with a seed'],
    [
      'another feature',
      { offers: FeatureSet.of(VIRTIO_F_RING_RESET) },
      'ERR_DEVICE_IMPOSSIBLE',
      'a device that offers RING_RESET',
    ],
    ['a platform without hardware', { simulate: null }, 'ERR_PLUGIN_FACILITY', 'no hardware in software'],
  ])('does not boot for %s', async (_what, asked, code, message) => {
    const { simulate = simulatePlain, ...device } = asked;
    const machine = new TinyMachine({ ...request(device), simulate: simulate ?? undefined }, '/dev/urandom');
    await expect(machine.boot()).rejects.toMatchObject({ code, message: expect.stringContaining(message) });
  });

  it('says what is missing, and what to do', async () => {
    expect(await plugin.missing({ source: '/dev/urandom' })).toEqual([]);
    expect(await plugin.missing({ source: '/dev/no-such-source' })).toEqual([
      { what: '/dev/no-such-source', fix: expect.stringContaining('machine.source') },
    ]);
  });

  it('checks its options', () => {
    expect(validate({})).toEqual({ value: { source: '/dev/urandom' } });
    expect(validate({ source: 'random' }).issues[0].path).toEqual(['source']);
    expect(validate({ sorce: '/dev/urandom' }).issues[0].message).toBe('unknown option sorce');
    expect(validate(null).issues).toHaveLength(1);
  });
});
