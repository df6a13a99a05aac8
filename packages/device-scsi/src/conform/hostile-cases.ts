import { type ConformBench, type ConformCase, misuseOf } from '@virtio-platform/core';
import { SCSI_CONTROL_QUEUE, SCSI_EVENT_QUEUE, SCSI_REQUEST_QUEUE, SCSI_TMF_SIZE } from '../layout.ts';
import { read10Cdb, testUnitReadyCdb } from '../scsi-commands.ts';
import { REQUEST_BYTES, RESPONSE_BYTES, scsiRequest } from './scsi-request.ts';

/** Gives parts to a queue: what the device reads, and how many bytes it may write. */
function give(bench: ConformBench, queue: number, readable: Uint8Array, writable: number): void {
  const out = bench.allocate('a request', Math.max(1, readable.length));
  out.write(readable);
  const into = bench.allocate('a response', Math.max(1, writable), 64);
  bench
    .ring(queue)
    .give([
      ...(readable.length > 0 ? [{ buffer: out }] : []),
      ...(writable > 0 ? [{ buffer: into, isWritable: true }] : []),
    ]);
}

const hostileCase = misuseOf({
  type: 'scsi',
  clause: '5.6.6.1',
  start: (bench) => bench.start({ queues: [SCSI_REQUEST_QUEUE, SCSI_CONTROL_QUEUE, SCSI_EVENT_QUEUE] }),
});

const ready = (): Uint8Array => scsiRequest({ cdb: testUnitReadyCdb() }).readable.slice();

/** A request with other bytes from one on. */
function changed(at: number, ...bytes: readonly number[]): Uint8Array {
  const request = ready();
  request.set(bytes, at);
  return request;
}

/** Requests that no driver may make (specification 1.4 section 5.6.6). */
export const SCSI_HOSTILE_CASES: readonly ConformCase[] = [
  ...[1, 18, 50].map((bytes) =>
    hostileCase(`request-of-${bytes}`, `a request of ${bytes} bytes`, (bench) =>
      give(bench, SCSI_REQUEST_QUEUE, ready().subarray(0, bytes), RESPONSE_BYTES),
    ),
  ),
  ...[0, 1, 107].map((bytes) =>
    hostileCase(`response-of-${bytes}`, `a response of ${bytes} bytes`, (bench) =>
      give(bench, SCSI_REQUEST_QUEUE, ready(), bytes),
    ),
  ),
  hostileCase('nothing-to-read', 'a request that has nothing to read', (bench) =>
    give(bench, SCSI_REQUEST_QUEUE, new Uint8Array(0), RESPONSE_BYTES),
  ),
  hostileCase('wrong-unit', 'a unit address of all ones', (bench) =>
    give(bench, SCSI_REQUEST_QUEUE, changed(0, 255, 255, 255, 255, 255, 255, 255, 255), RESPONSE_BYTES),
  ),
  hostileCase('long-transfer', 'a read of 65535 blocks into one', (bench) =>
    give(bench, SCSI_REQUEST_QUEUE, scsiRequest({ cdb: read10Cdb(0, 0xffff) }).readable, RESPONSE_BYTES + 512),
  ),
  hostileCase('unmap-without-list', 'an UNMAP whose list is longer than the data', (bench) => {
    const cdb = Uint8Array.of(0x42, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0);
    const request = scsiRequest({ cdb, dataOut: new Uint8Array(8).fill(0xff) });
    give(bench, SCSI_REQUEST_QUEUE, request.readable, RESPONSE_BYTES);
  }),
  hostileCase('same-tag', 'eight requests with one tag', (bench) => {
    for (let i = 0; i < 8; i++) give(bench, SCSI_REQUEST_QUEUE, ready(), RESPONSE_BYTES);
  }),
  hostileCase('command-of-ones', 'a command of all ones', (bench) =>
    give(bench, SCSI_REQUEST_QUEUE, ready().fill(0xff, 19, REQUEST_BYTES), RESPONSE_BYTES),
  ),
  ...[1, 8, 23].map((bytes) =>
    hostileCase(`function-of-${bytes}`, `a task management function of ${bytes} bytes`, (bench) =>
      give(bench, SCSI_CONTROL_QUEUE, new Uint8Array(bytes), 1),
    ),
  ),
  hostileCase('function-without-answer', 'a task management function without room for an answer', (bench) =>
    give(bench, SCSI_CONTROL_QUEUE, new Uint8Array(SCSI_TMF_SIZE), 0),
  ),
  hostileCase('unknown-control', 'a control request of a type that there is not', (bench) =>
    give(bench, SCSI_CONTROL_QUEUE, new Uint8Array(SCSI_TMF_SIZE).fill(9, 0, 4), 8),
  ),
  hostileCase('short-event', 'an event buffer of 1 byte', (bench) =>
    give(bench, SCSI_EVENT_QUEUE, new Uint8Array(0), 1),
  ),
  hostileCase('readable-event', 'an event buffer that is readable', (bench) =>
    give(bench, SCSI_EVENT_QUEUE, new Uint8Array(16), 0),
  ),
];
