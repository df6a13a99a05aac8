/**
 * Errors with a code, and what is said of them.
 *
 * @packageDocumentation
 */
export * from './coded-error.ts';
export * from './describe-error.ts';
export * from './error-code.ts';
export * from './exit-call.ts';
export * from './host-error.ts';
export * from './internal-error.ts';
export * from './message-of.ts';
export * from './printable.ts';
