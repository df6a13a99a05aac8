/**
 * zod schemas of the values that profiles and the options of plugins share.
 *
 * @packageDocumentation
 */
export * from './failure-schedule.ts';
export * from './numbers.ts';
export { byteSize, duration, type QuantityLimits } from './quantity.ts';
