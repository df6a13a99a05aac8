/**
 * The device half of a device type as a vhost-user back-end: for a guest in QEMU, for DPDK, for any front-end.
 *
 * ```ts
 * const stop = new AbortController();
 * await serveDevice({ type: block, settings, socket: '/run/disk.sock', signal: stop.signal });
 * ```
 *
 * @packageDocumentation
 */
export * from './device-server.ts';
export * from './device/served-recording.ts';
export * from './serve-events.ts';
export * from './strict/driver-finding.ts';
export { type StrictMode } from './strict/driver-findings.ts';
export * from './strict/driver-rules.ts';
