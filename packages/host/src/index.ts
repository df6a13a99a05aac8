/**
 * The operating system for machines: memory that can be shared with another process, notifications, sockets that carry
 * descriptors, and programs that are started and ended. Importing it loads nothing; using it needs 64-bit Linux.
 *
 * ```ts
 * const memory = SharedMemory.create(1 << 20);
 * const [here, there] = UnixSocket.pair();
 * here.send(new Uint8Array([1]), [memory.descriptor], 1000);
 * ```
 *
 * @packageDocumentation
 */
export * from './convertible-memory.ts';
export * from './device-file.ts';
export * from './event-fd.ts';
export * from './host-error.ts';
export { hostProblem } from './libc.ts';
export * from './loopback.ts';
export * from './memory-file.ts';
export * from './memory-lock-limit.ts';
export * from './memory-mapping.ts';
export * from './native-buffer.ts';
export * from './poll-set.ts';
export { Disposal } from './process/disposal.ts';
export { missingProgram } from './process/find-program.ts';
export { StartedProgram, type ProgramOptions } from './process/started-program.ts';
export { TemporaryFolder } from './process/temporary-folder.ts';
export * from './shared-memory.ts';
export { closeDescriptor } from './system-call.ts';
export { UnixSocket, type TransferResult } from './unix-socket.ts';
