import { MISMATCH_KINDS, type Mismatch } from '@virtio-platform/core';
import { FINDING_KINDS } from '@virtio-platform/dma-sanitizer';
import { KIND_NAMES } from '@virtio-platform/trace';
import { z } from 'zod';
import {
  REPORT_SCHEMA_VERSION,
  type FailureReport,
  type FaultReport,
  type FindingReport,
  type LogCut,
  type LeakReport,
  type NotificationReport,
  type RunReport,
  type WorkloadReport,
} from './report.ts';
import type { RingReport } from './ring-report.ts';
import {
  EXPLANATION_KINDS,
  type DifferingBytes,
  type ExplainedDescriptor,
  type ExplainedEvent,
  type ExplainedFields,
  type FailureExplanation,
  type FailurePlace,
} from '../failure/failure-explanation.ts';

/** A schema for each field of a report, so that no field is without one. */
type Fields<T> = Readonly<Record<keyof T, z.ZodType>>;

const text = z.string();
const texts = z.array(text);
const count = z.int().min(0);
const address = text.regex(/^0x[0-9a-f]+$/).describe('Hexadecimal.');

const fault = z.strictObject({
  address,
  length: count.describe('Bytes from the address on.'),
  access: text,
  cause: text,
  detail: text.optional().describe('What failed, where the cause is `device-error`.'),
} satisfies Fields<FaultReport>);

const leak = z.strictObject({ what: text, address, length: count } satisfies Fields<LeakReport>);

const finding = z.strictObject({
  code: z.enum(Object.keys(FINDING_KINDS)).describe('As in packages/core/docs/findings.md.'),
  check: text,
  what: text,
  device: text,
  queue: count.nullable(),
  descriptor: count.nullable().describe('Id of the buffer in its queue.'),
  operation: text.nullable().describe('What the driver asked for with the buffer: `write of sector 312`.'),
  request: count.nullable().describe('Its number in the order in which the driver added requests, from 1.'),
  buffer: z.strictObject({ address, length: count, direction: text.nullable() }).nullable(),
  deviceAddress: address.nullable(),
  mappedAt: texts,
  addedAt: texts,
  syncedAt: texts,
  unmappedAt: texts,
  misusedAt: texts,
  hint: text,
} satisfies Fields<FindingReport>);

const position = z.strictObject({ flags: count, position: count });

const ring = z.strictObject({
  queue: count,
  size: count,
  layout: z.enum(['split', 'packed']),
  eventIdx: z.boolean(),
  inOrder: z.boolean(),
  broken: z.strictObject({ code: text, detail: text }).nullable().describe('Why the queue is broken.'),
  driver: z.strictObject({ available: count, taken: count }),
  driverEvent: position,
  used: count.optional().describe('`used.idx`; not there in a packed ring.'),
  hasUsed: z.boolean(),
  usedAstray: z.union([z.literal('wrong-wrap'), count]).optional(),
  deviceEvent: position,
  usedElements: z
    .array(
      z.strictObject({
        position: count,
        slot: count,
        id: count,
        length: count,
        flags: count.optional(),
        state: z.enum(['taken', 'used', 'unused']),
      }),
    )
    .describe('Around the position of the driver.'),
  outstanding: z.array(z.looseObject({ id: count, age: count })).describe('The oldest 64 buffers of the device.'),
  outstandingCount: count,
  publications: z.strictObject({ wanted: count, suppressed: count }),
} satisfies Fields<RingReport>);

const failure = z.strictObject({
  code: text.describe('As in packages/core/docs/errors.md.'),
  message: text,
  hint: text.nullable().describe('What to do next.'),
  plugin: z
    .strictObject({
      kind: text,
      name: text,
      hook: text.nullable(),
      file: text,
      line: count,
      column: count,
      key: text.optional(),
    })
    .nullable()
    .describe('The plugin that the error came out of, and where the profile names it.'),
  cause: z.strictObject({ name: text.nullable(), message: text, stack: texts }).nullable(),
  rings: z.array(ring).describe('Every queue as both ends left it.'),
  program: z.strictObject({ ending: text.nullable(), stderrTail: text }).nullable(),
  later: z.array(z.strictObject({ code: text, message: text, hint: text.nullable() })),
} satisfies Fields<FailureReport>);

const fields = z.strictObject({ address, length: count, flags: count, next: count } satisfies Fields<ExplainedFields>);

const explanation = z.strictObject({
  kind: z.enum(EXPLANATION_KINDS),
  what: text,
  where: text,
  place: z.strictObject({
    operation: text.nullable(),
    request: count.nullable(),
    queue: count.nullable(),
    buffer: count.nullable(),
    slot: count.nullable(),
    position: count.nullable().describe('Of a packed ring with the wrap counter in bit 15.'),
    address: address.nullable(),
    deviceAddress: address.nullable(),
  } satisfies Fields<FailurePlace>),
  notes: texts,
  ring: ring.nullable(),
  events: z.array(
    z.strictObject({
      index: count,
      time: z.number().describe('Microseconds since the run began.'),
      kind: z.enum(KIND_NAMES),
      queue: count.nullable(),
      text,
      isOfBuffer: z.boolean(),
      skipped: count,
    } satisfies Fields<ExplainedEvent>),
  ),
  eventsDropped: count,
  bytes: z.strictObject({ offset: count, expected: text, actual: text } satisfies Fields<DifferingBytes>).nullable(),
  descriptors: z.array(
    z.strictObject({
      isIn: z.enum(['ring', 'table']),
      index: count,
      written: fields,
      found: fields.nullable(),
    } satisfies Fields<ExplainedDescriptor>),
  ),
  next: text.nullable(),
} satisfies Fields<FailureExplanation>);

const shownBytes = z.strictObject({ offset: count, expected: text, actual: text });

const mismatch = z.strictObject({
  kind: z.enum(MISMATCH_KINDS),
  request: count,
  what: text,
  detail: text,
  brief: text.optional(),
  queue: count,
  buffer: count.nullable(),
  address: address.nullable(),
  deviceAddress: address.nullable(),
  difference: z
    .strictObject({ offset: count, expected: z.number(), actual: z.number(), bytes: shownBytes.optional() })
    .nullable(),
  writer: z
    .strictObject({ request: count, queue: count, buffer: count.nullable() })
    .optional()
    .describe('The request that wrote the data last.'),
  status: z.number().nullable(),
  used: z.strictObject({ length: count, least: count }).nullable(),
} satisfies Fields<Mismatch>);

const workload = z.strictObject({
  requests: count,
  bytes: count.describe('Data moved, in both directions.'),
  errors: count,
  mismatches: z.strictObject({
    counts: z.partialRecord(z.enum(MISMATCH_KINDS), count),
    first: z.array(mismatch).describe('The first of each kind.'),
  }),
  verified: z.boolean().describe('Everything written was read back and was the same.'),
  interruptions: count,
  repeated: count,
} satisfies Fields<WorkloadReport>);

const notifications = z.strictObject({
  available: z.strictObject({ wanted: count, sent: count, suppressed: count }),
  used: z.strictObject({ wanted: count, received: count, missed: count, spurious: count, suppressed: count }),
  device: z.strictObject({ needed: count, received: count, missed: count, spurious: count }).nullable(),
} satisfies Fields<NotificationReport>);

/** The schema of {@link RunReport}: what one object of `run --json` is. Refuses keys that it does not know. */
export const REPORT_SCHEMA: z.ZodType = z.strictObject({
  schemaVersion: z
    .literal(REPORT_SCHEMA_VERSION)
    .describe('The version of this schema. New fields leave it; a field with another meaning makes a new one.'),
  toolVersion: text.describe('The version of virtio-platform.'),
  startedAt: z.iso.datetime({ precision: 3 }).describe('When the run began, in UTC.'),
  file: text.describe('Absolute path of the profile.'),
  seed: z.int().min(0).max(0xffff_ffff).describe('The seed of the workload: `run --seed` makes the same requests.'),
  profile: text.describe('The name of the run.'),
  platform: text,
  machine: text,
  device: text,
  features: z.strictObject({
    offered: texts,
    accepted: texts,
    declined: z.array(z.strictObject({ feature: text, rule: text, reason: text })),
  }),
  path: text.nullable().describe('How the address of a buffer reaches the device; null after a refusal.'),
  queue: z.strictObject({ layout: z.enum(['split', 'packed']), size: count }).nullable(),
  outcome: z.enum(['completed', 'refused', 'failed']),
  refusal: z
    .strictObject({
      code: text,
      rule: text,
      reason: text,
      change: z.strictObject({
        device: text.optional(),
        driver: text.optional(),
        platform: text.optional(),
        policy: text.optional(),
      }),
      option: text.nullable().describe('What of the profile decided it, beside the offer.'),
    })
    .nullable(),
  failure: failure.nullable(),
  explanations: z.array(explanation).describe('What went wrong, in the order in which it happened; at most 4.'),
  workload,
  configuration: z.strictObject({ changes: count, seen: texts }),
  notifications: notifications.nullable(),
  latency: z
    .strictObject({
      count,
      p50: z.number(),
      p90: z.number(),
      p99: z.number(),
      p999: z.number(),
      max: z.number(),
    })
    .nullable()
    .describe('How long buffers were away, in microseconds; null where none came back.'),
  dma: z.strictObject({
    maps: count,
    unmaps: count,
    bytesBounced: count,
    live: count.describe('Mappings that were not given back.'),
    leaked: count,
    pool: z.strictObject({ slots: count, highWater: count, exhausted: count }).nullable(),
  }),
  leaked: z.strictObject({ count, first: z.array(leak) }),
  statistics: z.record(text, z.record(text, z.number())),
  injected: count,
  faults: z.array(fault).describe('What the device did that the platform does not allow; the first 256.'),
  recorded: z.array(fault).describe('What the IOMMU recorded of the device; the first 256.'),
  findings: z.array(finding).describe('Findings of the DMA sanitizer; the first 256.'),
  sanitizer: z.strictObject({ findings: count, seesDriver: z.boolean(), seesDevice: z.boolean() }).nullable(),
  logCut: z
    .strictObject({ program: text, before: z.number(), bytes: count } satisfies Fields<LogCut>)
    .nullable()
    .describe("Where the log of the machine's own program begins (microseconds since the run began), if it was cut."),
  differences: texts.describe('Where the run differs from what its profile expects; empty for a run as expected.'),
  durationMs: count,
} satisfies Fields<RunReport>);

/** Where the schema is published. */
const SCHEMA_ID =
  'https://raw.githubusercontent.com/virtio-platform/virtio-platform/main/packages/cli/report-schema.json';

/**
 * The JSON Schema (draft 2020-12) of what `run --json` prints: an array of reports. It allows keys that it does not
 * know, as a later version has them.
 */
export function reportJsonSchema(): Readonly<Record<string, unknown>> {
  const { $schema, ...item } = z.toJSONSchema(REPORT_SCHEMA, {
    override({ jsonSchema }) {
      if (jsonSchema.additionalProperties === false) delete jsonSchema.additionalProperties;
    },
  });
  return {
    $schema,
    $id: SCHEMA_ID,
    title: 'virtio-platform run --json',
    description: 'An array with one report for each run, in the order of the runs.',
    type: 'array',
    items: { $ref: '#/$defs/report' },
    $defs: { report: item },
  };
}
