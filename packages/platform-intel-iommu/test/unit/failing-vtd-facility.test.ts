import { describe, expect, it } from 'vitest';
import { FailingVtdFacility, intelIommuOptionsSchema, SimulatedVtd } from '../../src/index.ts';

const SIMULATED = intelIommuOptionsSchema.parse({}).unit;
const [GLOBAL, DOMAIN, PAGES] = [0x9000_0000, 0xa000_0001, 0xb000_0001] as const;

/** How much the unit says it did. */
function invalidate(facility: FailingVtdFacility, command: number): number {
  const words = new Uint32Array(2);
  facility.write64(0xf8, 0, command);
  facility.read64(0xf8, words);
  expect(words[1]! >>> 31).toBe(0);
  return (words[1]! >>> 25) & 3;
}

describe('FailingVtdFacility', () => {
  it('loses invalidations of pages and domains as scheduled, and never global ones', () => {
    const facility = new FailingVtdFacility(new SimulatedVtd(SIMULATED), { nth: [1, 3] });
    const commands = [GLOBAL, PAGES, GLOBAL, PAGES, DOMAIN, DOMAIN];
    expect(commands.map((command) => invalidate(facility, command))).toEqual([1, 0, 1, 3, 0, 2]);
  });

  it('passes everything but lost invalidations to the unit', () => {
    const unit = new SimulatedVtd(SIMULATED);
    const facility = new FailingVtdFacility(unit, { every: 1 });
    const generation = new Int32Array(unit.state.control)[0];
    invalidate(facility, PAGES);
    expect(new Int32Array(unit.state.control)[0]).toBe(generation);
    facility.write64(0x20, 0x5000, 1);
    facility.write32(0x38, 2 ** 31);
    expect([facility.read32(0x20), facility.read32(0x24), unit.read32(0x38)]).toEqual([0x5000, 1, 2 ** 31]);
    expect(facility.sourceId).toBe(0x20);
  });
});
