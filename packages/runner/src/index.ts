/**
 * Boots, negotiates, runs the workload, verifies, reports.
 *
 * @packageDocumentation
 */
export * from './workload/block-pattern.ts';
export * from './compare-expectation.ts';
export * from './device-session.ts';
export * from './driver-half.ts';
export { DRIVER_TYPES } from './drivers/driver-types.ts';
export * from './workload/echo.ts';
export * from './explain-profile.ts';
export * from './workload/disruptions.ts';
export * from './workload/mismatch.ts';
export * from './negotiation-matrix.ts';
export * from './workload/read-entropy.ts';
export * from './report.ts';
export * from './ring-report.ts';
export * from './used-notifications.ts';
export * from './run-profile.ts';
export * from './workload/work-loop.ts';
export * from './workload/write-read-verify.ts';
