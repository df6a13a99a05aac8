/**
 * Negotiates with a device, opens its queues and its driver half, and ends it in the one safe order.
 *
 * @packageDocumentation
 */
export * from './addressing-input.ts';
export * from './device-session.ts';
export * from './session-options.ts';
export * from './supported-features.ts';
