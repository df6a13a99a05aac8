import { describe, expect, it } from 'vitest';
import { smmuv3OptionsSchema } from '../src/index.ts';

describe('the options of the platform', () => {
  it('have defaults', () => {
    expect(smmuv3OptionsSchema.parse({})).toEqual({
      domain: 'translated',
      granule: 4096,
      addressBits: 39,
      aperture: 2 ** 30,
      largePages: true,
      onLostInvalidation: 'keep',
      confinesEveryDevice: false,
      failures: { invalidation: {} },
      unit: { granules: [4096, 16_384, 65_536], outputBits: 44, eventBits: 19, commandBits: 19, isolatedMsi: true },
    });
  });

  it.each([
    ['a domain that does not exist', { domain: 'bypass' }],
    ['a granule that does not exist', { granule: '8KiB' }],
    ['a granule that is no size', { granule: '4K' }],
    ['bits that the driver does not know', { addressBits: 52 }],
    ['an aperture of one page', { aperture: '4KiB' }],
    ['an aperture of one large page', { granule: '64KiB', aperture: '64KiB' }],
    ['an aperture of half a page', { granule: '64KiB', aperture: '160KiB' }],
    ['an aperture beyond 2 GiB', { aperture: '3GiB' }],
    ['a unit without pages', { unit: { granules: [] } }],
    ['a unit of 52 bits', { unit: { outputBits: 52 } }],
    ['a queue of one command', { unit: { commandBits: 0 } }],
    ['an unknown key', { mode: 'scalable' }],
  ])('refuse %s', (_, options) => {
    expect(smmuv3OptionsSchema.safeParse(options).success).toBe(false);
  });
});
