import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { TraceLog } from '../trace-log.ts';

/** QEMU's event of a walk that ends at an entry that is not present. It has the address, and not the direction. */
const EVENT = 'amdvi_page_fault';
const ADDRESS = /(?:^|:)amdvi_page_fault .*0x([0-9a-f]{1,16})$/;
/** The most bytes of the log that are read at once: its end. */
const MOST_BYTES = 32 * 2 ** 20;
/** The most addresses of one call. */
const MOST_ADDRESSES = 2 ** 16;

/**
 * The addresses at which QEMU's AMD IOMMU denied an access, out of QEMU's own trace: the unit never writes its event
 * log. QEMU writes each line before the device goes on.
 */
export class DeniedAccesses {
  /** For the command line. */
  readonly arguments: readonly string[];
  readonly #path: string;
  /** Keeps the log from growing, where that is not done for a trace of the run. */
  readonly #log: TraceLog | undefined;
  /** Bytes of the log that were read. */
  #read = 0;
  #partial = '';

  /** `log` is QEMU's log, in a folder that the caller removes; `ownsLog` where nothing else is written to it. */
  constructor(log: string, ownsLog: boolean) {
    this.#path = log;
    this.#log = ownsLog ? new TraceLog(log) : undefined;
    this.arguments = [...(ownsLog ? ['-D', log] : []), '-trace', EVENT];
  }

  /** The addresses since the last call, in order, at most 65,536. Never throws: a log that is not there has none. */
  take(): readonly bigint[] {
    const lines = `${this.#partial}${this.#readNew()}`.split('\n');
    this.#partial = lines.pop() ?? '';
    const addresses: bigint[] = [];
    for (const line of lines) {
      const match = ADDRESS.exec(line);
      if (match !== null && addresses.length < MOST_ADDRESSES) addresses.push(BigInt(`0x${match[1]}`));
    }
    return addresses;
  }

  dispose(): void {
    this.#log?.end();
  }

  /** What was written since the last call, without the hole that emptying the log leaves. */
  #readNew(): string {
    try {
      const file = openSync(this.#path, 'r');
      try {
        const { size } = fstatSync(file);
        const from = Math.max(this.#read, size - MOST_BYTES);
        const bytes = Buffer.alloc(Math.max(0, size - from));
        const length = readSync(file, bytes, 0, bytes.length, from);
        this.#read = from + length;
        return bytes.toString('latin1', 0, length).replaceAll('\0', '');
      } finally {
        closeSync(file);
      }
    } catch {
      return '';
    }
  }
}
