/**
 * The contract suites that the author of a plugin runs, and the fakes that tests of rings use.
 *
 * @packageDocumentation
 */
export * from './contract-check.ts';
export * from './decide-row.ts';
export * from './decision-table.ts';
export * from './describe-address-space.ts';
export * from './describe-dma-mapping.ts';
export * from './describe-platform-plugin.ts';
export * from './describe-transport.ts';
export * from './echo-device.ts';
export * from './explore-interleavings.ts';
export * from './fuzz-device-queue.ts';
export * from './fuzz-rings.ts';
export * from './fuzz-virtqueue.ts';
export * from './hostile-cases.ts';
export * from './poisoning-dma-mapping.ts';
export * from './random.ts';
export * from './ring-echo.ts';
export * from './ring-vector.ts';
export * from './ring-vector-replay.ts';
