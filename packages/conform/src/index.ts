/**
 * A verdict on any virtio device: cases that a driver tries, exacting and hostile, and what the device does.
 *
 * @packageDocumentation
 */
export type { Severity, Verdict } from './bench/case-end.ts';
export * from './cases/all-cases.ts';
export * from './cases/needs.ts';
export * from './device/booted-subject.ts';
export * from './run/case-result.ts';
export * from './run/conform-run.ts';
export * from './run/planned-case.ts';
export * from './device/back-end-program.ts';
export * from './device/conform-target.ts';
export * from './run/clauses.ts';
export * from './run/conform-report.ts';
export * from './run/coverage.ts';
export * from './known/identify-back-end.ts';
export * from './known/known-back-end.ts';
export * from './known/known-deviations.ts';
