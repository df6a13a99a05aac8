/**
 * Benchmarks of the ring against C references, each case in processes of its own: what `virtio-platform bench` runs.
 *
 * @packageDocumentation
 */
export { StorageDaemon, type DaemonDisk } from './back-end/storage-daemon.ts';
export * from './bench-case.ts';
export * from './bench-report.ts';
export * from './cases/bench-parts.ts';
export * from './measure-case.ts';
export * from './measure-parts.ts';
export * from './measure-subject.ts';
export * from './measured/measure-task.ts';
export { percentilesOf, type Percentiles } from './measured/samples.ts';
export { MEASURED_PLATFORMS, type OpenPlatform } from './measured/measured-platforms.ts';
export type { LatencyMeasurement } from './measured/request-latency.ts';
export type { RoundsMeasurement } from './measured/measure-rounds.ts';
export type { DescriptorCount } from './measured/ring-shape.ts';
export * from './processes/c-reference.ts';
export * from './processes/measuring-process.ts';
