/**
 * Benchmarks of the ring against a C reference; `main.ts` is the program.
 *
 * @packageDocumentation
 */
export * from './c-reference.ts';
export * from './heap-growth.ts';
export * from './measured-platforms.ts';
export * from './measure-ring-loop.ts';
export * from './ring-loop.ts';
