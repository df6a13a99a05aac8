/**
 * zod schemas of the values that profiles and the options of plugins share.
 *
 * @packageDocumentation
 */
export * from './failure-schedule.ts';
export * from './numbers.ts';
export * from './takeover.ts';
export { byteSize, duration, type QuantityLimits } from './quantity.ts';
