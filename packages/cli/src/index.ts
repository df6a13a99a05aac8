/**
 * The command `virtio-platform`, as a function.
 *
 * @packageDocumentation
 */
export * from './command-line.ts';
export * from './exit-status.ts';
export { Interruption } from './interruption.ts';
export { SHELLS, type Shell } from './help/completion.ts';
export * from './shipped-profiles.ts';
export * from './terminal.ts';
