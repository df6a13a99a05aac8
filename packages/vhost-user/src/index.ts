/**
 * The vhost-user protocol as both of its ends have it: numbers and layouts of the messages, and how one is sent. What a
 * front-end or a back-end makes of a message is theirs.
 *
 * @packageDocumentation
 */
export * from './dirty-log.ts';
export * from './in-flight-region.ts';
export * from './iotlb-message.ts';
export * from './message.ts';
export * from './payloads.ts';
export * from './shared-areas.ts';
export * from './protocol-features.ts';
export * from './requests.ts';
export * from './ring-areas.ts';
