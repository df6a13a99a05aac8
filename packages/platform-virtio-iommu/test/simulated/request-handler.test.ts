import { FeatureSet } from '@virtio-platform/core/features';
import { describe, expect, it } from 'vitest';
import { allocateIommuState, FROZEN } from '../../src/simulated/iommu-state.ts';
import { RequestHandler } from '../../src/simulated/request-handler.ts';
import {
  VIRTIO_IOMMU_F_BYPASS_CONFIG,
  VIRTIO_IOMMU_F_MAP_UNMAP,
  VIRTIO_IOMMU_F_PROBE,
} from '../../src/unit/iommu-features.ts';
import { statusName } from '../../src/unit/request-format.ts';
import { readReservedRegions } from '../../src/unit/reserved-regions.ts';
import { openGuest } from '../iommu-guest.ts';

const ENDPOINT = 0x20;
const ALL = FeatureSet.of(VIRTIO_IOMMU_F_MAP_UNMAP, VIRTIO_IOMMU_F_PROBE, VIRTIO_IOMMU_F_BYPASS_CONFIG);

/** Asks a unit of its own for one request after the other. */
class Asker {
  readonly state = allocateIommuState(4, [{ isMsi: true, start: 0xfee0_0000, end: 0xfef0_0000 }]);
  readonly #handler: RequestHandler;

  constructor(unit: object = {}, accepted: FeatureSet = ALL) {
    this.#handler = new RequestHandler(ENDPOINT, openGuest({ unit }).options.unit, this.state);
    this.#handler.accept(accepted);
  }

  ask(type: number, fill: (view: DataView) => void, length = 72, properties?: Uint8Array): string {
    const view = new DataView(new ArrayBuffer(72));
    view.setUint8(0, type);
    fill(view);
    return statusName(this.#handler.handle(view, length, properties));
  }

  attach(domain = 1, flags = 0, endpoint = ENDPOINT): string {
    return this.ask(1, (view) =>
      [domain, endpoint, flags].forEach((value, i) => view.setUint32(4 + 4 * i, value, true)),
    );
  }

  detach(domain = 1, endpoint = ENDPOINT): string {
    return this.ask(2, (view) => [domain, endpoint].forEach((value, i) => view.setUint32(4 + 4 * i, value, true)));
  }

  map(start: number, end: number, { domain = 1, physical = 0x5000, flags = 3 } = {}): string {
    return this.ask(3, (view) => {
      view.setUint32(4, domain, true);
      [start, end, physical].forEach((value, i) => view.setBigUint64(8 + 8 * i, BigInt(value), true));
      view.setUint32(32, flags, true);
    });
  }

  unmap(start: number, end: number, domain = 1): string {
    return this.ask(4, (view) => {
      view.setUint32(4, domain, true);
      [start, end].forEach((value, i) => view.setBigUint64(8 + 8 * i, BigInt(value), true));
    });
  }
}

describe('ATTACH and DETACH', () => {
  it('are for the endpoint that there is, and for a domain of the range', () => {
    const asker = new Asker({ firstDomain: 1, lastDomain: 9 });
    expect(asker.attach(1, 0, 0x28)).toBe('NOENT');
    expect([asker.attach(0), asker.attach(10), asker.attach(9)]).toEqual(['RANGE', 'RANGE', 'OK']);
    expect([asker.detach(9, 0x28), asker.detach(8), asker.detach(9), asker.detach(9)]).toEqual([
      'NOENT',
      'INVAL',
      'OK',
      'INVAL',
    ]);
  });

  it('know the bypass flag with BYPASS_CONFIG, and no other', () => {
    expect([new Asker().attach(1, 1), new Asker().attach(1, 2)]).toEqual(['OK', 'INVAL']);
    expect(new Asker({}, FeatureSet.of(VIRTIO_IOMMU_F_MAP_UNMAP)).attach(1, 1)).toBe('INVAL');
    const asker = new Asker();
    expect([asker.attach(1, 1), asker.attach(1, 0), asker.map(0x1000, 0x1fff)]).toEqual(['OK', 'INVAL', 'INVAL']);
  });

  it('end a domain with its only endpoint', () => {
    const asker = new Asker();
    asker.attach(1);
    asker.map(0x1000, 0x1fff);
    expect([asker.attach(2), asker.map(0x1000, 0x1fff), asker.attach(1)]).toEqual(['OK', 'NOENT', 'OK']);
    expect(asker.map(0x1000, 0x1fff)).toBe('OK');
  });
});

describe('MAP', () => {
  it.each([
    ['no domain', { domain: 7 }, 0x1000, 0x1fff, 'NOENT'],
    ['an end before the start', {}, 0x3000, 0x1fff, 'INVAL'],
    ['a start inside a page', {}, 0x1800, 0x2fff, 'RANGE'],
    ['an end inside a page', {}, 0x1000, 0x2ffe, 'RANGE'],
    ['a physical address inside a page', { physical: 0x5008 }, 0x1000, 0x1fff, 'RANGE'],
    ['no permission', { flags: 0 }, 0x1000, 0x1fff, 'INVAL'],
    ['MMIO, which is not offered', { flags: 7 }, 0x1000, 0x1fff, 'INVAL'],
    ['a part of the interrupts', {}, 0xfedf_f000, 0xfee0_0fff, 'INVAL'],
    ['an address beyond the range', {}, 2 ** 40 - 4096, 2 ** 40 + 4095, 'RANGE'],
    ['an address before the range', {}, 0, 0xfff, 'RANGE'],
    ['all that is right', {}, 0x1000, 0x2fff, 'OK'],
  ])('with %s', (_what, more, start, end, status) => {
    const asker = new Asker({ inputStart: 0x1000, addressWidth: 40 });
    asker.attach();
    expect(asker.map(start, end, more)).toBe(status);
  });

  it('does not overlap another one, and finds room or not', () => {
    const asker = new Asker();
    asker.attach();
    expect([asker.map(0x1000, 0x2fff), asker.map(0x2000, 0x3fff), asker.map(0x3000, 0x3fff)]).toEqual([
      'OK',
      'INVAL',
      'OK',
    ]);
    expect([asker.map(0x4000, 0x4fff), asker.map(0x5000, 0x5fff), asker.map(0x6000, 0x6fff)]).toEqual([
      'OK',
      'OK',
      'NOMEM',
    ]);
  });

  it('is of whole pages of the unit', () => {
    const asker = new Asker({ pageSize: '64KiB' });
    asker.attach();
    expect([
      asker.map(0x1000, 0x1fff),
      asker.map(0x1_0000, 0x1_ffff),
      asker.map(0x1_0000, 0x1_ffff, { physical: 0 }),
    ]).toEqual(['RANGE', 'RANGE', 'OK']);
  });
});

describe('UNMAP', () => {
  it('removes whole mappings, and of nothing is fine', () => {
    const asker = new Asker();
    asker.attach();
    asker.map(0x1000, 0x2fff);
    asker.map(0x5000, 0x5fff);
    expect([asker.unmap(0x1000, 0x1fff), asker.unmap(0x7000, 0x7fff), asker.unmap(0x1000, 0x5fff)]).toEqual([
      'RANGE',
      'OK',
      'OK',
    ]);
    expect([asker.unmap(0x1000, 0x1fff, 2), asker.map(0x1000, 0x5fff)]).toEqual(['NOENT', 'OK']);
  });
});

/** Fills in the endpoint of a PROBE. */
function fill(endpoint: number): (view: DataView) => void {
  return (view) => view.setUint32(4, endpoint, true);
}

describe('PROBE', () => {
  it('tells the reserved regions', () => {
    const properties = new Uint8Array(512).fill(0xee);
    expect(new Asker().ask(5, fill(ENDPOINT), 72, properties)).toBe('OK');
    expect(readReservedRegions(properties)).toEqual([{ kind: 'msi', start: 0xfee0_0000n, end: 0xfeef_ffffn }]);
  });

  it('is refused for another endpoint, without room, and without the feature', () => {
    const asker = new Asker({}, FeatureSet.of(VIRTIO_IOMMU_F_MAP_UNMAP));
    expect(asker.ask(5, fill(ENDPOINT), 72, new Uint8Array(512))).toBe('UNSUPP');
    expect(new Asker().ask(5, fill(9), 72, new Uint8Array(512))).toBe('NOENT');
    expect(new Asker().ask(5, fill(ENDPOINT), 72)).toBe('INVAL');
  });
});

describe('any request', () => {
  it('of an unknown type, or that is too short, is refused', () => {
    expect([new Asker().ask(6, () => {}), new Asker().ask(3, () => {}, 35)]).toEqual(['UNSUPP', 'INVAL']);
  });

  it('changes nothing while a device relies on the translations', () => {
    const asker = new Asker();
    asker.attach();
    new Int32Array(asker.state.control)[FROZEN] = 1;
    expect([asker.map(0x1000, 0x1fff), asker.detach(), asker.attach(2)]).toEqual(['DEVERR', 'DEVERR', 'DEVERR']);
  });
});
