import { NET_FEATURES } from '@virtio-platform/device-net';
import { CONSOLE_FEATURES } from '@virtio-platform/device-console';
import { BLOCK_FEATURES } from '@virtio-platform/device-block';
import {
  EXPERIMENTAL_BITS,
  featureBit,
  featureDependencies,
  featureName,
  featureRange,
  FeatureSet,
  hasRequesterId,
  isContradictory,
  NO_DEVICE_FEATURES,
  TRANSPORT_KINDS,
  RESERVED_FEATURES,
  transportCarries,
  unmetDependency,
  VIRTIO_F_ACCESS_PLATFORM,
  VIRTIO_F_ADMIN_VQ,
  VIRTIO_F_NOTIF_CONFIG_DATA,
  VIRTIO_F_RING_RESET,
  VIRTIO_F_SR_IOV,
  VIRTIO_F_VERSION_1,
} from '@virtio-platform/core/features';
import { describe, expect, it } from 'vitest';

describe('the ranges of feature bits', () => {
  it.each([
    [0, 'device type'],
    [23, 'device type'],
    [24, 'queue and negotiation'],
    [41, 'queue and negotiation'],
    [42, 'device type'],
    [43, 'queue and negotiation'],
    [44, 'future extensions'],
    [49, 'future extensions'],
    [50, 'device type'],
    [127, 'device type'],
    [128, 'future extensions'],
  ])('have bit %d in that of: %s', (bit, range) => {
    expect(featureRange(bit)).toBe(range);
  });

  it('keep the experimental features where nothing is described', () => {
    for (const bit of Object.values(EXPERIMENTAL_BITS)) expect(featureRange(bit)).toBe('future extensions');
  });
});

describe('the names of feature bits', () => {
  /** Every bit that specification 1.4 names, by the section that names it. */
  const NAMED = {
    '6 and 6.3':
      '24 NOTIFY_ON_EMPTY, 27 ANY_LAYOUT, 28 RING_INDIRECT_DESC, 29 RING_EVENT_IDX, 32 VERSION_1, 33 ACCESS_PLATFORM, ' +
      '34 RING_PACKED, 35 IN_ORDER, 36 ORDER_PLATFORM, 37 SR_IOV, 38 NOTIFICATION_DATA, 39 NOTIF_CONFIG_DATA, ' +
      '40 RING_RESET, 41 ADMIN_VQ, 43 SUSPEND',
    // Bit 41 of section 5.1.3.2, GUEST_RSC4, is ADMIN_VQ of section 6.
    '5.1.3 and 5.1.3.2':
      '0 NET_CSUM, 1 NET_GUEST_CSUM, 2 NET_CTRL_GUEST_OFFLOADS, 3 NET_MTU, 5 NET_MAC, 6 NET_GSO, 7 NET_GUEST_TSO4, ' +
      '8 NET_GUEST_TSO6, 9 NET_GUEST_ECN, 10 NET_GUEST_UFO, 11 NET_HOST_TSO4, 12 NET_HOST_TSO6, 13 NET_HOST_ECN, ' +
      '14 NET_HOST_UFO, 15 NET_MRG_RXBUF, 16 NET_STATUS, 17 NET_CTRL_VQ, 18 NET_CTRL_RX, 19 NET_CTRL_VLAN, ' +
      '20 NET_CTRL_RX_EXTRA, 21 NET_GUEST_ANNOUNCE, 22 NET_MQ, 23 NET_CTRL_MAC_ADDR, 42 NET_GUEST_RSC6, ' +
      '50 NET_DEVICE_STATS, 51 NET_HASH_TUNNEL, 52 NET_VQ_NOTF_COAL, 53 NET_NOTF_COAL, 54 NET_GUEST_USO4, ' +
      '55 NET_GUEST_USO6, 56 NET_HOST_USO, 57 NET_HASH_REPORT, 59 NET_GUEST_HDRLEN, 60 NET_RSS, 61 NET_RSC_EXT, ' +
      '62 NET_STANDBY, 63 NET_SPEED_DUPLEX, 64 NET_RSS_CONTEXT, 65 NET_GUEST_UDP_TUNNEL_GSO, ' +
      '66 NET_GUEST_UDP_TUNNEL_GSO_CSUM, 67 NET_HOST_UDP_TUNNEL_GSO, 68 NET_HOST_UDP_TUNNEL_GSO_CSUM, ' +
      '69 NET_OUT_NET_HEADER, 70 NET_IPSEC',
    '5.2.3 and 5.2.3.1':
      '0 BLK_BARRIER, 1 BLK_SIZE_MAX, 2 BLK_SEG_MAX, 4 BLK_GEOMETRY, 5 BLK_RO, 6 BLK_BLK_SIZE, 7 BLK_SCSI, ' +
      '9 BLK_FLUSH, 10 BLK_TOPOLOGY, 11 BLK_CONFIG_WCE, 12 BLK_MQ, 13 BLK_DISCARD, 14 BLK_WRITE_ZEROES, ' +
      '15 BLK_LIFETIME, 16 BLK_SECURE_ERASE, 17 BLK_ZONED',
    '5.3.3': '0 CONSOLE_SIZE, 1 CONSOLE_MULTIPORT, 2 CONSOLE_EMERG_WRITE',
  } as const;

  it.each([
    ['6 and 6.3', RESERVED_FEATURES],
    ['5.1.3 and 5.1.3.2', NET_FEATURES],
    ['5.2.3 and 5.2.3.1', BLOCK_FEATURES],
    ['5.3.3', CONSOLE_FEATURES],
  ] as const)('I10 are those of section %s, all of them', (section, table) => {
    expect(table.rows.map(({ bit, name }) => `${bit} ${name}`)).toEqual(NAMED[section].split(', '));
  });

  it.each([
    ['net', NET_FEATURES],
    ['block', BLOCK_FEATURES],
    ['console', CONSOLE_FEATURES],
    ['entropy', NO_DEVICE_FEATURES],
  ] as const)('I10 are names in both directions for a %s device', (_type, table) => {
    for (const { bit, name } of [...table.rows, ...RESERVED_FEATURES.rows]) {
      expect(featureName(bit, table)).toBe(name);
      expect(featureBit(name, table)).toBe(bit);
    }
  });
});

describe('what transports carry', () => {
  it('is everything on PCI, and 32 bits on the legacy interface', () => {
    expect(transportCarries('pci').bits).toBe((1n << 128n) - 1n);
    expect(transportCarries('legacy').bits).toBe(0xffff_ffffn);
  });

  it.each([
    ['mmio', [VIRTIO_F_SR_IOV, VIRTIO_F_NOTIF_CONFIG_DATA, VIRTIO_F_ADMIN_VQ]],
    ['channel-io', [VIRTIO_F_SR_IOV, VIRTIO_F_RING_RESET, VIRTIO_F_ADMIN_VQ]],
  ] as const)('lacks on %s what the specification reserves there, or has no register for', (transport, lacking) => {
    const all = new FeatureSet((1n << 128n) - 1n);
    expect([...all.minus(transportCarries(transport))]).toEqual(lacking);
  });

  it('has a source for each feature that one lacks', () => {
    const absences = RESERVED_FEATURES.rows.flatMap(({ absentOn = {} }) => Object.entries(absentOn));
    expect(absences).toHaveLength(6);
    for (const [transport, source] of absences) {
      expect(TRANSPORT_KINDS).toContain(transport);
      expect(source).toMatch(/^virtio 1\.4 §/);
    }
  });
});

describe('the requester id of a device', () => {
  it('is there on PCI alone', () => {
    const buses = ['pci', 'mmio', 'channel-io'] as const;
    expect(buses.map(hasRequesterId)).toEqual([true, false, false]);
  });
});

describe('the experimental features', () => {
  const moved = { noTranslation: 48, identityAddress: 49 };

  it('have the names of their mails at whatever numbers', () => {
    expect(featureName(48, BLOCK_FEATURES, moved)).toBe('ACCESS_PLATFORM_NO_TRANSLATION');
    expect(featureBit('ACCESS_PLATFORM_IDENTITY_ADDRESS', BLOCK_FEATURES, moved)).toBe(49);
    expect(featureName(44, BLOCK_FEATURES, moved)).toBe('BIT_44');
  });

  it('need VERSION_1, and identity-address also ACCESS_PLATFORM', () => {
    const needs = (feature: number): number[] =>
      featureDependencies(BLOCK_FEATURES, moved)
        .filter((dependency) => dependency.feature === feature)
        .map(({ requires }) => requires);
    expect(needs(48)).toEqual([VIRTIO_F_VERSION_1]);
    expect(needs(49)).toEqual([VIRTIO_F_VERSION_1, VIRTIO_F_ACCESS_PLATFORM]);
    expect(unmetDependency(FeatureSet.of(VIRTIO_F_VERSION_1, 49), BLOCK_FEATURES, moved)?.source).toContain(
      '2019-07-01',
    );
    expect(unmetDependency(FeatureSet.of(VIRTIO_F_VERSION_1, 48), BLOCK_FEATURES, moved)).toBeUndefined();
  });

  it('contradict ACCESS_PLATFORM where they deny it', () => {
    expect(isContradictory(FeatureSet.of(VIRTIO_F_ACCESS_PLATFORM, 48), moved)).toBe(true);
    expect(isContradictory(FeatureSet.of(VIRTIO_F_ACCESS_PLATFORM, 49), moved)).toBe(false);
    expect(isContradictory(FeatureSet.of(VIRTIO_F_ACCESS_PLATFORM, 44), moved)).toBe(false);
  });
});
