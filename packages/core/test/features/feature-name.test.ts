import * as reserved from '@virtio-platform/core/features';
import {
  featureBit,
  featureName,
  featureNames,
  FeatureRows,
  NO_DEVICE_FEATURES,
  RESERVED_FEATURES,
} from '@virtio-platform/core/features';
import * as block from '@virtio-platform/device-block';
import * as console from '@virtio-platform/device-console';
import * as net from '@virtio-platform/device-net';
import * as scsi from '@virtio-platform/device-scsi';
import { describe, expect, it } from 'vitest';

const { BLOCK_FEATURES } = block;
const { CONSOLE_FEATURES } = console;
const { NET_FEATURES } = net;
const { SCSI_FEATURES } = scsi;

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
    for (const [bit, name] of known) expect(featureName(bit, BLOCK_FEATURES)).toBe(name);
  });

  it.each([
    ['every device', reserved, RESERVED_FEATURES],
    ['a block device', block, BLOCK_FEATURES],
    ['a network device', net, NET_FEATURES],
    ['a console', console, CONSOLE_FEATURES],
    ['a SCSI host', scsi, SCSI_FEATURES],
  ] as const)('of %s are the names of the constants, in every row', (_whose, exported, { rows }) => {
    const constants = Object.entries(exported).filter(([name]) => /^VIRTIO_([A-Z]+_)?F_/.test(name));
    const named = constants.map(([name, bit]) => [name.replace('VIRTIO_', '').replace(/(^|_)F_/, '$1'), bit]);
    expect(Object.fromEntries(named)).toEqual(Object.fromEntries(rows.map(({ name, bit }) => [name, bit])));
    expect(named).toHaveLength(rows.length);
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
    [BLOCK_FEATURES, 15, 'BLK_LIFETIME'],
    [BLOCK_FEATURES, 16, 'BLK_SECURE_ERASE'],
    [BLOCK_FEATURES, 17, 'BLK_ZONED'],
    [NET_FEATURES, 5, 'NET_MAC'],
    [NET_FEATURES, 15, 'NET_MRG_RXBUF'],
    [NET_FEATURES, 22, 'NET_MQ'],
    [NET_FEATURES, 60, 'NET_RSS'],
    [CONSOLE_FEATURES, 0, 'CONSOLE_SIZE'],
    [CONSOLE_FEATURES, 2, 'CONSOLE_EMERG_WRITE'],
    [SCSI_FEATURES, 3, 'SCSI_T10_PI'],
    [NO_DEVICE_FEATURES, 0, 'BIT_0'],
  ])('of $source call bit %d %s', (table, bit, name) => {
    expect(featureName(bit, table)).toBe(name);
  });

  it('lead back to their bits, all different', () => {
    for (const table of [BLOCK_FEATURES, NET_FEATURES, CONSOLE_FEATURES, NO_DEVICE_FEATURES]) {
      const names = featureNames(table);
      expect(new Set(names).size).toBe(names.length);
      const bits = names.map((name) => featureBit(name, table)!);
      expect(bits).toEqual(bits.toSorted((a, b) => a - b));
      expect(bits.map((bit) => featureName(bit, table))).toEqual(names);
    }
  });

  it('reach any bit by number', () => {
    expect(featureBit('BIT_0', BLOCK_FEATURES)).toBe(0);
    expect(featureBit('BIT_127', BLOCK_FEATURES)).toBe(127);
    expect(featureName(77, BLOCK_FEATURES)).toBe('BIT_77');
  });

  it.each(['BIT_128', 'BIT_', 'BIT_-1', 'version_1', '', 'BLK_FLUSH '])('do not include %j', (name) => {
    expect(featureBit(name, BLOCK_FEATURES)).toBeUndefined();
  });

  it('keep the bits of one device type from another', () => {
    expect(featureBit('BLK_FLUSH', NET_FEATURES)).toBeUndefined();
  });
});
