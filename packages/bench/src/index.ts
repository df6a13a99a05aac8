/**
 * Benchmarks of the ring against C references; `main.ts` is the program.
 *
 * @packageDocumentation
 */
export * from './c-reference.ts';
export * from './heap-growth.ts';
export * from './measured-platforms.ts';
export * from './measure-in-process.ts';
export * from './ring-end.ts';
export * from './ring-loop.ts';
export * from './two-threads.ts';
