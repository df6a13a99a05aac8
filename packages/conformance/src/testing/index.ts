/**
 * What tests of more than one package need: both ends of a ring, a register transport, a platform or machine opened
 * without a profile, and a small block driver. Nothing here needs a test runner.
 *
 * @packageDocumentation
 */
export * from './accept-features.ts';
export * from './block-ring.ts';
export * from './device-loop.ts';
export * from './dispose-in-use.ts';
export * from './identity-traits.ts';
export * from './net-echo.ts';
export * from './open-plugin.ts';
export * from './own-temporary-folder.ts';
export * from './register-transport.ts';
export * from './ring-pair.ts';
export * from './run-and-exit.ts';
export * from './watch-calls.ts';
