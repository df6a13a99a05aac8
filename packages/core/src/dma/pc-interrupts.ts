import type { AddressRange } from './address-range.ts';

/** The first address of the interrupts of a PC: a write of a word to 0xFEExxxxx is one, which no unit translates. */
export const INTERRUPT_START = 0xfee0_0000;
/** The address behind them. */
export const INTERRUPT_END = 0xfef0_0000;

/** The interrupts of a PC as a platform states them. `ofEveryDevice` as in {@link AddressRange}. */
export function pcInterruptRange(ofEveryDevice: boolean): AddressRange {
  return {
    what: 'interrupt range of a PC',
    kind: 'interrupts',
    deviceAddress: BigInt(INTERRUPT_START),
    length: INTERRUPT_END - INTERRUPT_START,
    ofEveryDevice,
  };
}
