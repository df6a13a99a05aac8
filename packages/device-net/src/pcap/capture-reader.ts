import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs';
import { ETHERNET_HEADER } from '../layout.ts';
import { captureError, withCapture } from './capture-error.ts';
import {
  LINKTYPE_ETHERNET,
  MOST_CAPTURED,
  PCAP_HEADER,
  PCAP_MAJOR,
  PCAP_MICROSECONDS,
  PCAP_NANOSECONDS,
  PCAP_RECORD,
  PCAPNG_SECTION,
} from './pcap-format.ts';

/** Bytes of the largest file that is read: all of it is in memory. */
const MOST_BYTES = 2 ** 28;
/** How the other format becomes this one. */
const CONVERT = 'make it a classic pcap file of Ethernet frames: editcap -F pcap IN OUT, or tcpdump -r IN -w OUT';
const REPAIR = 'the file may have been cut off or changed: capture it again, or repair it with editcap';

/** The frames of a pcap file. */
export class CaptureReader {
  readonly #bytes: Uint8Array;
  readonly #starts: number[] = [];
  readonly #lengths: number[] = [];

  /**
   * Reads the file at `path`, whose frames have at most `longest` bytes. Throws {@link DeviceError}
   * `ERR_DEVICE_CAPTURE`, with the place of what is wrong: for a file that is no regular one, is too large, is no pcap
   * file of Ethernet frames, is cut off, or has a frame that is too long or shorter than an Ethernet header; and for
   * one without a frame.
   */
  constructor(path: string, longest: number) {
    this.#bytes = readCapture(path);
    const { length } = this.#bytes;
    const view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset, length);
    const littleEndian = checkHeader(path, view);
    for (let at = PCAP_HEADER; at < length;) {
      const wrong = (problem: string, hint = REPAIR): Error =>
        captureError(path, `has at byte ${at}, frame ${this.count + 1}, ${problem}`, hint);
      if (length - at < PCAP_RECORD) throw wrong(`${length - at} bytes of a record header of ${PCAP_RECORD}`);
      const captured = view.getUint32(at + 8, littleEndian);
      if (captured > MOST_CAPTURED) throw wrong(`a frame of ${captured} bytes, more than any capture has`);
      const left = length - at - PCAP_RECORD;
      if (captured > left) throw wrong(`${left} bytes of a frame of ${captured}`);
      if (captured > longest)
        throw wrong(
          `a frame of ${captured} bytes, more than ${longest}`,
          `set workload.blockSize: ${captured}B or more`,
        );
      if (captured < ETHERNET_HEADER)
        throw wrong(
          `a frame of ${captured} bytes, less than an Ethernet header`,
          'leave the frame out: editcap IN OUT N',
        );
      this.#starts.push(at + PCAP_RECORD);
      this.#lengths.push(captured);
      at += PCAP_RECORD + captured;
    }
    if (this.count === 0) throw captureError(path, `has no frame behind byte ${PCAP_HEADER}`, 'capture some frames');
  }

  /** How many frames there are: at least one. */
  get count(): number {
    return this.#starts.length;
  }

  /** The bytes of a frame; after the last frame comes the first one again. */
  frame(index: number): Uint8Array {
    const at = index % this.count;
    return this.#bytes.subarray(this.#starts[at], this.#starts[at]! + this.#lengths[at]!);
  }
}

/** Never waits for the other end of a pipe. */
function readCapture(path: string): Uint8Array {
  return withCapture(path, 'input', () => {
    const file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const status = fstatSync(file);
      if (!status.isFile()) throw captureError(path, 'is no regular file', 'workload.input is the path of a pcap file');
      if (status.size > MOST_BYTES)
        throw captureError(
          path,
          `has ${status.size} bytes, more than ${MOST_BYTES}`,
          'split it: editcap -c 100000 IN OUT',
        );
      return readFileSync(file);
    } finally {
      closeSync(file);
    }
  });
}

const isMagic = (word: number): boolean => word === PCAP_MICROSECONDS || word === PCAP_NANOSECONDS;

/** Returns whether the file is in little-endian byte order. */
function checkHeader(path: string, view: DataView): boolean {
  const wrong = (at: number, problem: string, hint = CONVERT): Error =>
    captureError(path, `has at byte ${at} ${problem}`, hint);
  if (view.byteLength < PCAP_HEADER)
    throw wrong(0, `${view.byteLength} bytes of a file header of ${PCAP_HEADER}`, CONVERT);
  const littleEndian = isMagic(view.getUint32(0, true));
  const magic = view.getUint32(0, false);
  if (magic === PCAPNG_SECTION) throw wrong(0, 'the section header of a pcapng file');
  if (!littleEndian && !isMagic(magic)) throw wrong(0, `0x${magic.toString(16).padStart(8, '0')}, no pcap file`);
  const major = view.getUint16(4, littleEndian);
  if (major !== PCAP_MAJOR) throw wrong(4, `version ${major} of the format instead of ${PCAP_MAJOR}`);
  // The upper bits say whether frames have their check sequence.
  const link = view.getUint32(20, littleEndian) & 0xffff;
  if (link !== LINKTYPE_ETHERNET) throw wrong(20, `link type ${link} instead of ${LINKTYPE_ETHERNET}, Ethernet`);
  return littleEndian;
}
