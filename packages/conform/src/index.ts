/**
 * A verdict on any virtio device: cases that a driver tries, exacting and hostile, and what the device does.
 *
 * @packageDocumentation
 */
export type { Severity, Verdict } from './bench/case-end.ts';
export * from './cases/all-cases.ts';
export * from './cases/needs.ts';
export * from './device/booted-subject.ts';
export * from './cases/pci/all-pci-cases.ts';
export * from './cases/protocol/all-protocol-cases.ts';
export * from './protocol/protocol-case.ts';
export type { ProtocolOffer } from './protocol/protocol-offer.ts';
export * from './protocol/protocol-run.ts';
export * from './operations/crash-key.ts';
export * from './operations/fuzz-run.ts';
export * from './operations/generate-operations.ts';
export * from './operations/operation.ts';
export * from './operations/operation-cases.ts';
export * from './operations/operation-file.ts';
export * from './operations/shrink-operations.ts';
export * from './run/case-result.ts';
export * from './run/conform-run.ts';
export * from './run/planned-case.ts';
export * from './device/back-end-program.ts';
export * from './device/conform-target.ts';
export * from './run/clauses.ts';
export * from './run/conform-report.ts';
export * from './run/coverage.ts';
export * from './run/device-trial.ts';
export * from './pci/pci-clauses.ts';
export * from './protocol/protocol-clauses.ts';
export * from './known/identify-back-end.ts';
export * from './known/known-back-end.ts';
export * from './known/known-deviations.ts';
