/**
 * Boots, negotiates, runs the workload, verifies, reports.
 *
 * @packageDocumentation
 */
export * from './block-pattern.ts';
export * from './compare-expectation.ts';
export * from './device-session.ts';
export * from './driver-half.ts';
export { DRIVER_TYPES } from './drivers/driver-types.ts';
export * from './echo.ts';
export * from './explain-profile.ts';
export * from './disruptions.ts';
export * from './mismatch.ts';
export * from './negotiation-matrix.ts';
export * from './read-entropy.ts';
export * from './report.ts';
export * from './ring-report.ts';
export * from './used-notifications.ts';
export * from './run-profile.ts';
export * from './work-loop.ts';
export * from './write-read-verify.ts';
