/** Feature negotiation as an ordered list of named rules. @packageDocumentation */
export * from './core-rules.ts';
export * from './negotiate.ts';
export * from './negotiation.ts';
export * from './negotiation-policy.ts';
export * from './platform-traits.ts';
export * from './source-reference.ts';
