import {
  BOTH_LAYOUTS,
  type Clause,
  type ConformBench,
  type ConformCase,
  type DeviceCases,
  type Framing,
  type GoodRequest,
  startedCase,
} from '@virtio-platform/core';
import * as wire from '../layout.ts';
import { inquiryCdb, read10Cdb, requestSenseCdb, testUnitReadyCdb, write10Cdb } from '../scsi-commands.ts';
import { SCSI_CONFIG, type ScsiField } from '../scsi-config.ts';
import { SCSI_CHECK_CONDITION } from '../scsi-sense.ts';
import { SCSI_HOSTILE_CASES } from './hostile-cases.ts';
import { lunBytes, REQUEST_BYTES, RESPONSE_BYTES, scsiField, scsiRequest, taskRequest } from './scsi-request.ts';

const LAYOUT = '5.6.4';
const RESET = '5.6.4.2';
const REQUESTS = '5.6.6.1';
const NORMATIVE = '5.6.6.1.1';
const CONTROL = '5.6.6.2';
/** Commands after which a unit has told of everything that it has to tell of: a reset, and that it is new. */
const ATTENTIONS = 4;
/** Bytes of standard inquiry data. */
const INQUIRY_BYTES = 36;
const NO_TARGET = 200;
const NO_UNIT = 77;
const BLOCK = 512;
const UNKNOWN_COMMAND = 0xff;
const UNKNOWN_FUNCTION = 99;

/** Has the unit tell of its resets, so that the next commands are done. */
async function settleUnit(bench: ConformBench): Promise<void> {
  for (let n = 0; n < ATTENTIONS; n++)
    await bench.serve(bench.layOutRequest(scsiRequest({ cdb: testUnitReadyCdb(), status: undefined })));
}

/** Request and response in descriptors of their own, as every device takes them. */
const APART: Framing = { readable: [REQUEST_BYTES], writable: [RESPONSE_BYTES] };

/** Asks what the unit is in some framing, and compares that with what it says in the usual one. */
function framingCase(id: string, title: string, framing: Framing): ConformCase {
  return {
    id: `scsi/${id}`,
    clause: '2.7.4.1',
    level: 'MUST',
    title,
    layouts: BOTH_LAYOUTS,
    run: async (bench) => {
      await bench.start({ size: 128 });
      await settleUnit(bench);
      const usual = await dataOf(bench, inquiry(), APART);
      for (let n = 0; n < 3; n++) {
        const seen = await dataOf(bench, inquiry(), framing);
        bench.check(Buffer.compare(seen, usual) === 0, 'INQUIRY has other data than in the usual framing');
      }
    },
  };
}

/** Serves a request, and returns its data-in. */
async function dataOf(bench: ConformBench, request: GoodRequest, framing: Framing): Promise<Uint8Array> {
  const laid = bench.layOutRequest(request, framing);
  await bench.serve(laid);
  const parts = laid.segments.filter(({ isWritable }) => isWritable).map(({ buffer }) => buffer.read());
  return Buffer.concat(parts).subarray(RESPONSE_BYTES);
}

/** Serves a request on a device whose unit is ready. */
function requestCase(
  id: string,
  title: string,
  requests: () => readonly GoodRequest[],
  framing: Framing = APART,
  clause = REQUESTS,
): ConformCase {
  return {
    id: `scsi/${id}`,
    clause,
    level: 'MUST',
    title,
    layouts: BOTH_LAYOUTS,
    run: async (bench) => {
      await bench.start({
        size: 128,
        queues: [wire.SCSI_REQUEST_QUEUE, wire.SCSI_CONTROL_QUEUE, wire.SCSI_EVENT_QUEUE],
      });
      await settleUnit(bench);
      for (const request of requests()) await bench.serve(bench.layOutRequest(request, framing));
    },
  };
}

/** A field whose value is right or wrong by itself. */
function fieldCase(id: string, field: ScsiField, clause: string, title: string, isRight: (value: number) => boolean) {
  return {
    id: `scsi/${id}`,
    clause,
    level: 'MUST',
    title,
    run: async (bench: ConformBench) => {
      await bench.start();
      const value = scsiField(bench, SCSI_CONFIG[field]);
      bench.check(isRight(value), `${field} is ${value}`);
    },
  } as const satisfies ConformCase;
}

function pattern(seed: number, bytes = BLOCK): Uint8Array {
  return Uint8Array.from({ length: bytes }, (_, i) => (i * 7 + seed * 31 + (i >> 8)) & 0xff);
}

/** Without data, so that a device that assumes something of its framing serves it. */
const ready = (): GoodRequest => scsiRequest({ cdb: testUnitReadyCdb(), status: undefined });
const inquiry = (): GoodRequest =>
  scsiRequest({ cdb: inquiryCdb(INQUIRY_BYTES), room: INQUIRY_BYTES, expected: Uint8Array.of(0) });
const write = (block: number, data: Uint8Array): GoodRequest =>
  scsiRequest({ cdb: write10Cdb(block, 1), dataOut: data });
const read = (block: number, expected: Uint8Array): GoodRequest =>
  scsiRequest({ cdb: read10Cdb(block, 1), room: expected.length, expected });
const writeAndRead = (): readonly GoodRequest[] =>
  [1, 2, 3].flatMap((seed) => [write(seed, pattern(seed)), read(seed, pattern(seed))]);

const CASES: readonly ConformCase[] = [
  fieldCase('num-queues', 'num_queues', LAYOUT, 'has a request queue', (value) => value >= 1),
  fieldCase('max-target', 'max_target', LAYOUT, 'says targets up to 255', (value) => value <= 0xff),
  fieldCase('max-lun', 'max_lun', LAYOUT, 'says logical units up to 16383', (value) => value <= 0x3fff),
  fieldCase('event-size', 'event_info_size', LAYOUT, 'says events of 16 bytes at least', (value) => value >= 16),
  fieldCase(
    'sense-size',
    'sense_size',
    RESET,
    'says sense data of 96 bytes',
    (value) => value === wire.SCSI_SENSE_SIZE,
  ),
  fieldCase('cdb-size', 'cdb_size', RESET, 'says commands of 32 bytes', (value) => value === wire.SCSI_CDB_SIZE),
  startedCase({
    id: 'scsi/sizes-after-reset',
    clause: RESET,
    title: 'has sense_size 96 and cdb_size 32 again after a reset, whatever a driver wrote',
    run: async (bench) => {
      bench.transport.writeConfig(SCSI_CONFIG.sense_size.offset, Uint8Array.of(64, 0, 0, 0));
      bench.transport.writeConfig(SCSI_CONFIG.cdb_size.offset, Uint8Array.of(16, 0, 0, 0));
      await bench.start();
      bench.equal('sense_size', scsiField(bench, SCSI_CONFIG.sense_size), wire.SCSI_SENSE_SIZE);
      bench.equal('cdb_size', scsiField(bench, SCSI_CONFIG.cdb_size), wire.SCSI_CDB_SIZE);
    },
  }),
  requestCase('inquiry', 'answers INQUIRY with a disk', () => [inquiry(), inquiry()]),
  requestCase('ready', 'answers TEST UNIT READY with GOOD', () => [scsiRequest({ cdb: testUnitReadyCdb() })]),
  requestCase('write-read', 'reads what was written', writeAndRead),
  framingCase('request-in-two', 'takes a request in two descriptors', {
    readable: [8, REQUEST_BYTES - 8],
    writable: [RESPONSE_BYTES],
  }),
  framingCase('command-apart', 'takes a command apart from its header', {
    readable: [REQUEST_BYTES - wire.SCSI_CDB_SIZE],
    writable: [RESPONSE_BYTES],
  }),
  framingCase('data-with-response', 'writes response and data into one descriptor', {}),
  framingCase('data-in-odd-lengths', 'writes data into descriptors of odd lengths', {
    writable: [RESPONSE_BYTES, 3, 20, 1],
  }),
  framingCase('response-in-two', 'writes a response into two descriptors', { writable: [10, RESPONSE_BYTES - 10] }),
  framingCase('response-in-odd-lengths', 'writes a response into descriptors of odd lengths', {
    writable: [1, 3, 7, 1, 60],
  }),
  requestCase('data-with-request', 'takes request and data in one descriptor', writeAndRead, {
    writable: [RESPONSE_BYTES],
  }),
  requestCase('data-out-in-odd-lengths', 'takes data in descriptors of odd lengths', writeAndRead, {
    readable: [REQUEST_BYTES, 5, 100, 1],
    writable: [RESPONSE_BYTES],
  }),
  requestCase(
    'used-length-of-write',
    'counts no data-out in the used length',
    () => [{ ...write(5, pattern(9)), check: (_, length) => lengthOf(length) }],
    APART,
    '2.7.8.2',
  ),
  requestCase(
    'unknown-command',
    'answers a command that it does not know with CHECK CONDITION, and sense data of ILLEGAL REQUEST',
    () => [
      scsiRequest({
        cdb: Uint8Array.of(UNKNOWN_COMMAND),
        status: SCSI_CHECK_CONDITION,
        sense: (sense) =>
          (sense[2]! & 0xf) === 5 ? undefined : `the sense key is ${sense[2]! & 0xf}, and has to be 5`,
      }),
    ],
    APART,
    NORMATIVE,
  ),
  requestCase(
    'bad-target',
    'answers BAD_TARGET for a target that there is not',
    () => [scsiRequest({ cdb: testUnitReadyCdb(), target: NO_TARGET, response: wire.VIRTIO_SCSI_S_BAD_TARGET })],
    APART,
    NORMATIVE,
  ),
  requestCase(
    'overrun',
    'answers OVERRUN where a command moves more than there is room for',
    () => [scsiRequest({ cdb: read10Cdb(1, 4), room: BLOCK, response: wire.VIRTIO_SCSI_S_OVERRUN })],
    APART,
    NORMATIVE,
  ),
  requestCase('more-room', 'takes more room for data than the command needs', () => [
    scsiRequest({ cdb: read10Cdb(1, 1), room: 4 * BLOCK }),
  ]),
  requestCase('past-end', 'answers a read past the end of a disk with CHECK CONDITION', () => [
    scsiRequest({ cdb: read10Cdb(0x7fff_ffff, 1), room: BLOCK, status: SCSI_CHECK_CONDITION }),
  ]),
  requestCase('request-sense', 'answers REQUEST SENSE with GOOD', () => [
    scsiRequest({ cdb: requestSenseCdb(18), room: 18 }),
  ]),
  requestCase(
    'abort-of-nothing',
    'does a task management function for a task that there is not',
    () => [
      taskRequest(
        wire.VIRTIO_SCSI_T_TMF_ABORT_TASK,
        [wire.VIRTIO_SCSI_S_OK, wire.VIRTIO_SCSI_S_FUNCTION_SUCCEEDED],
        0,
        0,
        999,
      ),
      taskRequest(wire.VIRTIO_SCSI_T_TMF_QUERY_TASK, [wire.VIRTIO_SCSI_S_OK], 0, 0, 999),
    ],
    APART,
    CONTROL,
  ),
  requestCase(
    'reset-of-unit',
    'resets a logical unit, which serves again',
    () => [
      taskRequest(wire.VIRTIO_SCSI_T_TMF_LOGICAL_UNIT_RESET, [
        wire.VIRTIO_SCSI_S_OK,
        wire.VIRTIO_SCSI_S_FUNCTION_SUCCEEDED,
      ]),
      ...Array.from({ length: ATTENTIONS }, () => scsiRequest({ cdb: testUnitReadyCdb(), status: undefined })),
      scsiRequest({ cdb: testUnitReadyCdb() }),
    ],
    APART,
    CONTROL,
  ),
  requestCase(
    'unknown-function',
    'rejects a task management function that there is not',
    () => [taskRequest(UNKNOWN_FUNCTION, [wire.VIRTIO_SCSI_S_FUNCTION_REJECTED])],
    APART,
    CONTROL,
  ),
  requestCase(
    'function-of-no-unit',
    'answers a task management function for a unit that there is not with INCORRECT_LUN',
    () => [
      taskRequest(
        wire.VIRTIO_SCSI_T_TMF_QUERY_TASK,
        [wire.VIRTIO_SCSI_S_INCORRECT_LUN, wire.VIRTIO_SCSI_S_BAD_TARGET],
        0,
        NO_UNIT,
      ),
    ],
    APART,
    CONTROL,
  ),
  requestCase('notifications', 'answers a query of notifications', () => [notificationQuery()], APART, CONTROL),
];

function lengthOf(length: number): string | undefined {
  return length <= RESPONSE_BYTES ? undefined : `the used length is ${length}, of ${RESPONSE_BYTES} bytes to write`;
}

function notificationQuery(): GoodRequest {
  const readable = new Uint8Array(wire.SCSI_AN_SIZE);
  const view = new DataView(readable.buffer);
  view.setUint32(0, wire.VIRTIO_SCSI_T_AN_QUERY, true);
  readable.set(lunBytes(0, 0), 4);
  view.setUint32(12, 0x7e, true);
  return {
    queue: wire.SCSI_CONTROL_QUEUE,
    readable,
    writable: 5,
    check: (written) => (written[4] === wire.VIRTIO_SCSI_S_OK ? undefined : `the response is ${written[4]}`),
  };
}

const CLAUSES: readonly Clause[] = [
  { section: LAYOUT, level: 'text', requires: 'the fields of the configuration' },
  { section: RESET, level: 'MUST', requires: 'sense_size 96 and cdb_size 32 on reset' },
  { section: REQUESTS, level: 'text', requires: 'commands of any framing, and what they do' },
  { section: NORMATIVE, level: 'MUST', requires: 'a status, and a response that says why there is none' },
  { section: CONTROL, level: 'text', requires: 'task management and notifications' },
  {
    section: '5.6.6.3.2',
    level: 'MUST',
    requires: 'events that are told, and those that were missed',
    unseen: 'no driver can make a disk change',
  },
];

/** The cases of a SCSI host (specification 1.4 section 5.6), on target 0, unit 0. They write to its first blocks. */
export const SCSI_CASES: DeviceCases = {
  clauses: CLAUSES,
  queues: [wire.SCSI_REQUEST_QUEUE],
  open: async (bench) => {
    await settleUnit(bench);
    return ready;
  },
  unprepared: ready,
  requestOn: (queue, usual, bench) => {
    if (queue === wire.SCSI_CONTROL_QUEUE)
      return taskRequest(wire.VIRTIO_SCSI_T_TMF_QUERY_TASK, [wire.VIRTIO_SCSI_S_OK], 0, 0, 999);
    const queues = scsiField(bench, SCSI_CONFIG.num_queues);
    return queue >= wire.SCSI_REQUEST_QUEUE && queue < wire.SCSI_REQUEST_QUEUE + queues
      ? { ...usual, queue }
      : undefined;
  },
  cases: [...CASES, ...SCSI_HOSTILE_CASES],
};
