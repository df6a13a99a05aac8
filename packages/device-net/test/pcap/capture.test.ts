import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CaptureReader, CaptureWriter } from '@virtio-platform/device-net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { captureBytes, recordsOf } from './captures.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'virtio-platform-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

const FRAMES = [14, 60, 61, 1518].map((length, i) => Uint8Array.from({ length }, (_, at) => (at * 3 + i) & 0xff));

function written(bytes: Uint8Array): string {
  const path = join(folder, 'capture.pcap');
  writeFileSync(path, bytes);
  return path;
}

describe('a pcap file', () => {
  it.each([
    ['little-endian, microseconds', true, 0xa1b2_c3d4],
    ['little-endian, nanoseconds', true, 0xa1b2_3c4d],
    ['big-endian, microseconds', false, 0xa1b2_c3d4],
    ['big-endian, nanoseconds', false, 0xa1b2_3c4d],
  ] as const)('is read, %s, and from its start again after its end', (_, littleEndian, magic) => {
    const reader = new CaptureReader(written(captureBytes(FRAMES, { littleEndian, magic })), 1518);
    expect(reader.count).toBe(4);
    for (let i = 0; i < 9; i++) expect(Buffer.compare(reader.frame(i), FRAMES[i % 4]!)).toBe(0);
  });

  it('may say that its frames have a check sequence', () => {
    expect(new CaptureReader(written(captureBytes(FRAMES, { link: 0x2400_0001 })), 1518).count).toBe(4);
  });

  const whole = Uint8Array.from(captureBytes(FRAMES));
  const changed = (at: number, ...bytes: number[]): Uint8Array => {
    const copy = whole.slice();
    copy.set(bytes, at);
    return copy;
  };
  // The second record begins behind the header, one record header and 14 bytes.
  const SECOND = 24 + 16 + 14;

  it.each<[string, Uint8Array, RegExp]>([
    ['is empty', new Uint8Array(0), /at byte 0 0 bytes of a file header/],
    ['has half a header', whole.slice(0, 23), /at byte 0 23 bytes of a file header of 24/],
    ['is text', Buffer.from('this is no capture of frames'), /at byte 0 0x74686973, no pcap file/],
    ['is pcapng', changed(0, 0x0a, 0x0d, 0x0d, 0x0a), /at byte 0 the section header of a pcapng file/],
    ['is of another version', changed(4, 3), /at byte 4 version 3/],
    ['is of another link type', changed(20, 101), /at byte 20 link type 101 instead of 1/],
    ['has no frame', whole.slice(0, 24), /no frame behind byte 24/],
    ['ends in a record header', whole.slice(0, SECOND + 15), /at byte 54, frame 2, 15 bytes of a record header of 16/],
    ['ends in a frame', whole.slice(0, SECOND + 16 + 59), /at byte 54, frame 2, 59 bytes of a frame of 60/],
    [
      'has a frame of 4 GiB',
      changed(SECOND + 8, 255, 255, 255, 255),
      /at byte 54, frame 2, a frame of 4294967295 bytes/,
    ],
    ['has a frame of 13 bytes', captureBytes([FRAMES[0]!, FRAMES[0]!.slice(1)]), /at byte 54, frame 2, a frame of 13/],
    [
      'has a frame that is too long',
      captureBytes([FRAMES[0]!, new Uint8Array(1519)]),
      /frame 2, a frame of 1519 bytes/,
    ],
  ])('that %s is refused with its place', (_, bytes, message) => {
    const path = written(bytes);
    const read = (): CaptureReader => new CaptureReader(path, 1518);
    expect(read).toThrow(expect.objectContaining({ code: 'ERR_DEVICE_CAPTURE' }));
    expect(read).toThrow(message);
    expect(read).toThrow(new RegExp(path));
  });

  it('that is cut off anywhere has whole frames, or is refused by code', () => {
    for (let length = 0; length < whole.length; length++) {
      try {
        expect(new CaptureReader(written(whole.subarray(0, length)), 1518).count).toBeLessThan(4);
      } catch (error) {
        expect(error).toMatchObject({ code: 'ERR_DEVICE_CAPTURE' });
      }
    }
  });

  it.each(['missing.pcap', 'folder'])('that is no file is refused by code: %s', (name) => {
    mkdirSync(join(folder, 'folder'), { recursive: true });
    const path = join(folder, name);
    expect(() => new CaptureReader(path, 1518)).toThrow(expect.objectContaining({ code: 'ERR_DEVICE_CAPTURE' }));
    if (name === 'missing.pcap') return;
    expect(() => new CaptureWriter(path)).toThrow(expect.objectContaining({ code: 'ERR_DEVICE_CAPTURE' }));
  });
});

describe('a pcap file that is written', () => {
  it('is one of Ethernet frames, little-endian, with microseconds, whatever was there before', () => {
    const path = written(new Uint8Array(5000));
    const writer = new CaptureWriter(path);
    // More than is written at once.
    for (let i = 0; i < 1000; i++) writer.write(FRAMES[i % 4]!, FRAMES[i % 4]!.length, 1_700_000_000_123.456 + i);
    writer.close();
    writer.close();
    const bytes = readFileSync(path);
    expect(bytes.subarray(0, 24).toString('hex')).toBe('d4c3b2a10200040000000000000000000000040001000000');
    const records = recordsOf(bytes);
    expect(records).toHaveLength(1000);
    expect(records[0]).toMatchObject({ seconds: 1_700_000_000, fraction: 123_456, original: 14 });
    for (const [i, { frame, original }] of records.entries()) {
      expect(original).toBe(frame.length);
      expect(frame.equals(FRAMES[i % 4]!)).toBe(true);
    }
    expect(new CaptureReader(path, 1518).count).toBe(1000);
  });
});
