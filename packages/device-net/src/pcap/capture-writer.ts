import { closeSync, constants, fstatSync, openSync, writeSync } from 'node:fs';
import { captureError, withCapture } from './capture-error.ts';
import {
  LINKTYPE_ETHERNET,
  MOST_CAPTURED,
  PCAP_HEADER,
  PCAP_MAJOR,
  PCAP_MICROSECONDS,
  PCAP_MINOR,
  PCAP_RECORD,
} from './pcap-format.ts';

/** Bytes that are written at once. */
const CHUNK = 0x4_0000;

/** Writes frames to a pcap file: little-endian, with microseconds, of Ethernet. */
export class CaptureWriter {
  readonly #path: string;
  readonly #file: number;
  readonly #bytes: Uint8Array = new Uint8Array(CHUNK);
  readonly #view: DataView = new DataView(this.#bytes.buffer);
  #length = 0;
  #isOpen = true;

  /** Empties the file, or makes it. Throws {@link DeviceError} `ERR_DEVICE_CAPTURE`. */
  constructor(path: string) {
    this.#path = path;
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_NONBLOCK | constants.O_NOCTTY;
    this.#file = withCapture(path, 'output', () => openSync(path, flags | constants.O_TRUNC, 0o644));
    if (!fstatSync(this.#file).isFile()) {
      closeSync(this.#file);
      throw captureError(
        path,
        'is no regular file',
        'workload.output is the path of a pcap file, which is overwritten',
      );
    }
    this.#view.setUint32(0, PCAP_MICROSECONDS, true);
    this.#view.setUint16(4, PCAP_MAJOR, true);
    this.#view.setUint16(6, PCAP_MINOR, true);
    this.#view.setUint32(16, MOST_CAPTURED, true);
    this.#view.setUint32(20, LINKTYPE_ETHERNET, true);
    this.#length = PCAP_HEADER;
  }

  /** Appends the first `length` bytes of a frame, with the time in milliseconds since 1970. */
  write(frame: Uint8Array, length: number, timeMs: number): void {
    if (this.#length + PCAP_RECORD + length > CHUNK) this.#flush();
    const at = this.#length;
    const seconds = Math.floor(timeMs / 1000);
    this.#view.setUint32(at, seconds, true);
    this.#view.setUint32(at + 4, Math.floor((timeMs - 1000 * seconds) * 1000), true);
    this.#view.setUint32(at + 8, length, true);
    this.#view.setUint32(at + 12, length, true);
    this.#bytes.set(frame.subarray(0, length), at + PCAP_RECORD);
    this.#length = at + PCAP_RECORD + length;
  }

  /** Writes what is left and closes the file; nothing the second time. Throws `ERR_DEVICE_CAPTURE`. */
  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    try {
      this.#flush();
    } finally {
      closeSync(this.#file);
    }
  }

  #flush(): void {
    withCapture(this.#path, 'output', () => {
      for (let done = 0; done < this.#length;) done += writeSync(this.#file, this.#bytes, done, this.#length - done);
    });
    this.#length = 0;
  }
}
