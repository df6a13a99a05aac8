/**
 * One page for people of what runs did.
 *
 * @packageDocumentation
 */
export * from './recording/activity.ts';
export * from './recording/buffer-slices.ts';
export * from './recording/recording.ts';
export * from './recording/report-recorder.ts';
export * from './recording/slot-places.ts';
export * from './html/line-plot.ts';
export { html, Markup, type Fragment } from './html/markup.ts';
export * from './html/page-shell.ts';
export * from './html/row-table.ts';
export * from './report-page.ts';
export * from './reported-run.ts';
export { LatencyHistogram, type LatencyBar, type LatencySummary } from '@virtio-platform/trace';
