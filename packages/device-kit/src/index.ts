/**
 * What device types have in common: buffers, queue pairs, configuration, chains, disk images, and the echo workload.
 *
 * @packageDocumentation
 */
export * from './block-backing.ts';
export * from './buffer-mapping.ts';
export * from './buffer-slots.ts';
export * from './byte-backlog.ts';
export * from './chain-bytes.ts';
export * from './config-fields.ts';
export * from './config-space.ts';
export * from './echo-workloads.ts';
export * from './echo.ts';
export * from './image-file.ts';
export * from './mapping-failures.ts';
export * from './message-link.ts';
export * from './mismatch-log.ts';
export * from './pattern.ts';
export * from './queue-pair.ts';
export * from './random.ts';
