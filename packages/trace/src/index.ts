/**
 * Records what a driver, its platform and its device do, event by event.
 *
 * @packageDocumentation
 */
export * from './event-kind.ts';
export * from './flight-recorder.ts';
export * from './latency-histogram.ts';
export * from './recorder.ts';
export * from './trace-event.ts';
export * from './watch-session.ts';
export * from './perfetto/chrome-event.ts';
export * from './perfetto/chrome-events.ts';
export * from './perfetto/read-trace-file.ts';
export * from './perfetto/trace-file.ts';
