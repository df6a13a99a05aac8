/**
 * The operating system, for machines: memory that another process can share, notifications, sockets that transfer
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
export * from './call-pipe.ts';
export * from './device-file.ts';
export * from './event-fd.ts';
export * from './kick-pipe.ts';
export { closeDescriptor, HostError, hostProblem, NativeBuffer } from './libc.ts';
export { LoopReader, type LoopListener } from './loop-reader.ts';
export * from './memory/memory-file.ts';
export * from './memory/memory-mapping.ts';
export * from './memory/shared-memory.ts';
export * from './peer-descriptor.ts';
export * from './peer-event.ts';
export * from './peer-stream.ts';
export * from './poll-set.ts';
export { ReadableWait } from './readable-wait.ts';
export * from './process/disposal.ts';
export { missingProgram } from './process/find-program.ts';
export { StartedProgram, type ProgramOptions } from './process/started-program.ts';
export * from './process/temporary-folder.ts';
export * from './socket/loopback.ts';
export { UnixListener } from './socket/unix-listener.ts';
export { UnixSocket, type TransferResult } from './socket/unix-socket.ts';
