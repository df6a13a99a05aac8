/** Injected failures that follow a schedule. @packageDocumentation */
export * from './failing-dma-mapping.ts';
export * from './failure-plan.ts';
export * from './misbehavior.ts';
