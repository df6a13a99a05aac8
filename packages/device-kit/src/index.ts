/**
 * What device types have in common: buffers, queue pairs, configuration, chains, and the echo workload.
 *
 * @packageDocumentation
 */
export * from './buffer-mapping.ts';
export * from './buffer-slots.ts';
export * from './byte-backlog.ts';
export * from './chain-bytes.ts';
export * from './config-fields.ts';
export * from './config-space.ts';
export * from './echo-workloads.ts';
export * from './echo.ts';
export * from './mapping-failures.ts';
export * from './message-link.ts';
export * from './mismatch-log.ts';
export * from './pattern.ts';
export * from './queue-pair.ts';
export * from './random.ts';
