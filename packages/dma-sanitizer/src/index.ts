/**
 * Finds the mistakes that a driver makes with DMA, on any platform and machine.
 *
 * @packageDocumentation
 */
export * from './dma-sanitizer.ts';
export * from './finding.ts';
export type { SanitizerOptions } from './sanitizer-state.ts';
