/** What a capture is written with. */
export interface CaptureForm {
  readonly littleEndian?: boolean;
  readonly magic?: number;
  readonly link?: number;
}

/** A pcap file of frames. */
export function captureBytes(frames: readonly Uint8Array[], form: CaptureForm = {}): Buffer {
  const { littleEndian = true, magic = 0xa1b2_c3d4, link = 1 } = form;
  const bytes = Buffer.alloc(frames.reduce((sum, { length }) => sum + 16 + length, 24));
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  view.setUint32(0, magic, littleEndian);
  view.setUint16(4, 2, littleEndian);
  view.setUint16(6, 4, littleEndian);
  view.setUint32(16, 262_144, littleEndian);
  view.setUint32(20, link, littleEndian);
  let at = 24;
  for (const [i, frame] of frames.entries()) {
    view.setUint32(at, 1_700_000_000 + i, littleEndian);
    view.setUint32(at + 8, frame.length, littleEndian);
    view.setUint32(at + 12, frame.length, littleEndian);
    bytes.set(frame, at + 16);
    at += 16 + frame.length;
  }
  return bytes;
}

/** One record of a pcap file. */
export interface CaptureRecord {
  readonly seconds: number;
  readonly fraction: number;
  readonly original: number;
  readonly frame: Buffer;
}

/** The records of a little-endian pcap file, read without the reader of the package. */
export function recordsOf(bytes: Buffer): CaptureRecord[] {
  const records: CaptureRecord[] = [];
  for (let at = 24; at < bytes.length;) {
    const captured = bytes.readUInt32LE(at + 8);
    records.push({
      seconds: bytes.readUInt32LE(at),
      fraction: bytes.readUInt32LE(at + 4),
      original: bytes.readUInt32LE(at + 12),
      frame: bytes.subarray(at + 16, at + 16 + captured),
    });
    at += 16 + captured;
  }
  return records;
}
