/**
 * The contract suites that the author of a plugin runs, and the fakes that tests of rings use.
 *
 * @packageDocumentation
 */
export * from './contract-check.ts';
export * from './decision-table/decision-table.ts';
export * from './contract/describe-address-space.ts';
export * from './describe-dma-mapping.ts';
export * from './contract/describe-machine-plugin.ts';
export * from './contract/describe-platform-plugin.ts';
export * from './contract/plugin/plugin-checks.ts';
export * from './contract/describe-transport.ts';
export * from './contract/echo-device.ts';
export * from './handshake/explore-interleavings.ts';
export * from './fuzz/fuzz-device-queue.ts';
export * from './fuzz/fuzz-rings.ts';
export * from './fuzz/fuzz-virtqueue.ts';
export * from './hostile-cases.ts';
export * from './poisoning-dma-mapping.ts';
export { Random } from '@virtio-platform/device-kit';
export * from './contract/ring-echo.ts';
export * from './vectors/ring-vector.ts';
export * from './vectors/ring-vector-replay.ts';
