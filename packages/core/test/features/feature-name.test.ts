import * as features from '@virtio-platform/core/features';
import { DEVICE_TYPES, featureBit, featureName, featureNames, FeatureRows } from '@virtio-platform/core/features';
import { describe, expect, it } from 'vitest';

describe('feature names', () => {
  it('name the bits of the specification', () => {
    const known: [number, string][] = [
      [9, 'BLK_FLUSH'],
      [24, 'NOTIFY_ON_EMPTY'],
      [27, 'ANY_LAYOUT'],
      [28, 'RING_INDIRECT_DESC'],
      [29, 'RING_EVENT_IDX'],
      [32, 'VERSION_1'],
      [33, 'ACCESS_PLATFORM'],
      [34, 'RING_PACKED'],
      [35, 'IN_ORDER'],
      [36, 'ORDER_PLATFORM'],
      [37, 'SR_IOV'],
      [38, 'NOTIFICATION_DATA'],
      [39, 'NOTIF_CONFIG_DATA'],
      [40, 'RING_RESET'],
      [41, 'ADMIN_VQ'],
      [43, 'SUSPEND'],
    ];
    for (const [bit, name] of known) expect(featureName(bit, 'block')).toBe(name);
  });

  it('are the names of the constants, in every row', () => {
    const constants = Object.entries(features).filter(([name]) => name.startsWith('VIRTIO_'));
    const named = constants.map(([name, bit]) => [name.replace('VIRTIO_', '').replace(/(^|_)F_/, '$1'), bit]);
    const rows = DEVICE_TYPES.flatMap((type) => features.featureTable(type).slice(1)).flatMap((table) => table.rows);
    const unique = new Map(rows.map(({ name, bit }) => [name, bit]));
    expect(Object.fromEntries(named)).toEqual(Object.fromEntries(unique));
  });

  it.each([
    [9, 'OTHER'],
    [10, 'BLK_FLUSH'],
  ])('belong to one row: bit %d with name %s is refused beside bit 9, BLK_FLUSH', (bit, name) => {
    const rows = new FeatureRows('virtio 1.4 §5.2.3');
    rows.bit(9, 'BLK_FLUSH');
    expect(() => rows.bit(bit, name)).toThrow(new TypeError(`feature ${name}, bit ${bit}: BLK_FLUSH is bit 9`));
  });

  it.each([
    ['block', 15, 'BLK_LIFETIME'],
    ['block', 16, 'BLK_SECURE_ERASE'],
    ['block', 17, 'BLK_ZONED'],
    ['net', 5, 'NET_MAC'],
    ['net', 15, 'NET_MRG_RXBUF'],
    ['net', 22, 'NET_MQ'],
    ['net', 60, 'NET_RSS'],
    ['console', 0, 'CONSOLE_SIZE'],
    ['console', 2, 'CONSOLE_EMERG_WRITE'],
    ['entropy', 0, 'BIT_0'],
  ])('of %s call bit %d %s', (type, bit, name) => {
    expect(featureName(bit, type)).toBe(name);
  });

  it('lead back to their bits, all different', () => {
    for (const type of [...DEVICE_TYPES, 'unknown']) {
      const names = featureNames(type);
      expect(new Set(names).size).toBe(names.length);
      const bits = names.map((name) => featureBit(name, type)!);
      expect(bits).toEqual(bits.toSorted((a, b) => a - b));
      expect(bits.map((bit) => featureName(bit, type))).toEqual(names);
    }
  });

  it('reach any bit by number', () => {
    expect(featureBit('BIT_0', 'block')).toBe(0);
    expect(featureBit('BIT_127', 'block')).toBe(127);
    expect(featureName(77, 'block')).toBe('BIT_77');
  });

  it.each(['BIT_128', 'BIT_', 'BIT_-1', 'version_1', '', 'BLK_FLUSH '])('do not include %j', (name) => {
    expect(featureBit(name, 'block')).toBeUndefined();
  });

  it('keep the bits of one device type from another', () => {
    expect(featureBit('BLK_FLUSH', 'network')).toBeUndefined();
  });
});
