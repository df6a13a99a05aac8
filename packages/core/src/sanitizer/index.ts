/** The DMA sanitizer. @packageDocumentation */
export * from './dma-sanitizer.ts';
export * from './finding-code.ts';
export * from './finding.ts';
export type { SanitizerOptions } from './sanitizer-state.ts';
