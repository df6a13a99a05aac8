/**
 * Boots, negotiates, runs the workload, verifies, reports.
 *
 * @packageDocumentation
 */
export * from './report/compare-expectation.ts';
export * from './report/describe-mismatches.ts';
export * from './disruptions.ts';
export { failedReport } from './report/describe-run.ts';
export * from './explain-address.ts';
export * from './explain-code.ts';
export * from './explain-profile.ts';
export * from './feature-story.ts';
export { describeEvent } from './failure/describe-event.ts';
export { describeAccess } from './failure/diagnose-fault.ts';
export { findingRequest } from './failure/explain-trouble.ts';
export * from './failure/failure-explanation.ts';
export * from './report/negotiation-account.ts';
export * from './negotiation-matrix.ts';
export * from './report/report.ts';
export * from './report/ring-report.ts';
export { isShownOtherwise } from './report/shown-otherwise.ts';
export * from './profile-run.ts';
export * from './run-events.ts';
export * from './run-loop.ts';
export * from './run-options.ts';
export * from './run-profile.ts';
export * from './run-session.ts';
export { TOOL_VERSION } from './report/tool-version.ts';
export * from './used-notifications.ts';
export * from './with-seed.ts';
