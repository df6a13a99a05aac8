import type { BenchPart } from '../bench-case.ts';
import { BACK_END_PART } from './back-end-cases.ts';
import { LATENCY_PART } from './latency-cases.ts';
import { COPIES_PART, MAPPINGS_PART } from './mapping-cases.ts';
import { ENDS_PART, RECORDER_PART, THREADS_PART } from './ring-cases.ts';
import { LIVE_PART, MEMORY_PART, QUEUES_PART, SIZES_PART } from './scale-cases.ts';
import { startPart } from './start-cases.ts';

/**
 * Everything that is measured, in the order of reports. `program` is the module that the command starts with; without
 * one the starts of commands are left out.
 */
export function benchParts(program?: string): readonly BenchPart[] {
  return [
    ENDS_PART,
    THREADS_PART,
    LATENCY_PART,
    MAPPINGS_PART,
    COPIES_PART,
    SIZES_PART,
    LIVE_PART,
    MEMORY_PART,
    QUEUES_PART,
    RECORDER_PART,
    BACK_END_PART,
    ...(program === undefined ? [] : [startPart(program)]),
  ];
}
