import { describe, expect, it } from 'vitest';
import { virtioIommuOptionsSchema } from '../src/index.ts';

async function issuesOf(given: object): Promise<readonly string[]> {
  const result = await virtioIommuOptionsSchema['~standard'].validate(given);
  return (result.issues ?? []).map(({ path = [] }) => path.map(String).join('.'));
}

describe('the options of virtio-iommu', () => {
  it('have defaults', async () => {
    expect(await virtioIommuOptionsSchema['~standard'].validate({})).toMatchObject({
      value: { domain: 'translated', layout: 'split', bypass: 'off', aperture: 2 ** 30, eventBuffers: 64, lacks: [] },
    });
  });

  it.each([
    [{ domain: 'pass-through' }, 'domain'],
    [{ aperture: '4KiB' }, 'aperture'],
    [{ lacks: ['IOMMU_MAP_UNMAP'] }, 'lacks.0'],
    [{ unit: { pageSize: '12KiB' } }, 'unit.pageSize'],
    [{ unit: { firstDomain: 3, lastDomain: 2 } }, 'unit.lastDomain'],
    [{ unit: { inputStart: 2 ** 32, addressWidth: 32 } }, 'unit.inputStart'],
    [{ unit: { reserved: [{ start: 5, size: '4KiB' }] } }, 'unit.reserved.0.start'],
  ])('refuse %j', async (given, at) => {
    expect(await issuesOf(given)).toEqual([at]);
  });
});
