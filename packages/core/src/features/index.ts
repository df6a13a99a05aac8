/** Feature bits, their names and dependencies, and sets of them. @packageDocumentation */
export * from './experimental-bits.ts';
export * from './feature-bit.ts';
export * from './feature-dependencies.ts';
export * from './feature-name.ts';
export * from './feature-range.ts';
export * from './feature-set.ts';
export * from './transport-limits.ts';
