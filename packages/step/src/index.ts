/**
 * Walks through a recorded run, one event at a time, forwards and backwards.
 *
 * @packageDocumentation
 */
export * from './record/detail-recorder.ts';
export * from './record/recording.ts';
export * from './show/paint.ts';
export * from './show/screen.ts';
export * from './show/step-json.ts';
export * from './show/step-text.ts';
export * from './state/changed-fields.ts';
export * from './state/reduce.ts';
export * from './state/ring-view.ts';
export * from './state/run-state.ts';
export * from './stepper.ts';
export * from './tell/step-texts.ts';
export * from './terminal-screen.ts';
export type { Told } from './tell/telling.ts';
export * from './walk.ts';
