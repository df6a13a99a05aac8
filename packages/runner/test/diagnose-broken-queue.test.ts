import { VIRTQ_DESC_F_INDIRECT, VIRTQ_DESC_F_NEXT, VIRTQ_DESC_F_WRITE } from '@virtio-platform/core/queue';
import { describe, expect, it } from 'vitest';
import { diagnoseBrokenQueue } from '../src/failure/diagnose-broken-queue.ts';
import type { FailureEvidence } from '../src/failure/failure-evidence.ts';
import type { RingReport } from '../src/report/ring-report.ts';

/** A write of a SCSI disk: the request, 8 KiB of data, and a response of 108 bytes. */
const SEGMENTS = [
  { length: 51, flags: VIRTQ_DESC_F_NEXT },
  { length: 8192, flags: VIRTQ_DESC_F_NEXT },
  { length: 108, flags: VIRTQ_DESC_F_WRITE },
];
const TABLE = [{ length: 48, flags: VIRTQ_DESC_F_INDIRECT }, ...SEGMENTS];

/** What a report says to do about a device that returned this buffer with `length`. */
function next(length: number, descriptors: typeof SEGMENTS): string | null {
  const ring = {
    queue: 2,
    layout: 'split',
    size: 16,
    broken: { code: 'used-length-too-large', detail: '' },
    outstanding: [{ id: 3, writableBytes: 108 }],
    usedElements: [{ state: 'used', id: 3, slot: 0, position: 0, length }],
  } as unknown as RingReport;
  const written = descriptors.map((fields) => ({ written: fields }));
  const buffers = new Map([[2, [{ id: 3, isOutstanding: true, descriptors: written }]]]);
  return diagnoseBrokenQueue({ rings: [ring], buffers } as unknown as FailureEvidence, ring).next;
}

describe('a used length that is too large', () => {
  it.each([
    [8300, SEGMENTS, 'the data'],
    [8351, SEGMENTS, 'the request and the data'],
    [8300, TABLE, 'the data, in an indirect table'],
  ])('of %d bytes, as a device gives that counts device-readable ones too, can be cut', (length, descriptors) => {
    expect(next(length, descriptors)).toContain('driver.usedLength: clamp');
  });

  it.each([109, 8301, 8399, 2 ** 32 - 1])(
    'of %d bytes, which nothing explains, is the mistake of the device',
    (length) => {
      expect(next(length, SEGMENTS)).toMatch(/^look how the device counts the used length/);
    },
  );
});
