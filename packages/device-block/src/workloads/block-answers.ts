import type { MismatchKind } from '@virtio-platform/core';
import type { MismatchLog } from '@virtio-platform/device-kit';
import { BLOCK_ID_SIZE, BLOCK_LIFETIME_SIZE, VIRTIO_BLK_T_GET_ID } from '../layout.ts';
import type { BlockWorkContext } from './block-requests.ts';

/** Largest values of pre_eol_info, and of the two estimates; the rest is reserved. Specification 1.4 section 5.2.6. */
const MOST_LIFETIME = [3, 11, 11];

/**
 * Checks what a disk answers to GET_ID and GET_LIFETIME: what the settings say, where they say it, else a string and
 * numbers that can be, and the same each time.
 */
export class BlockAnswers {
  readonly #context: BlockWorkContext;
  readonly #mismatches: MismatchLog;
  #identity: string | undefined;

  constructor(context: BlockWorkContext, mismatches: MismatchLog) {
    this.#context = context;
    this.#mismatches = mismatches;
  }

  /** Checks the answer at `address` to a request of this type, which is number `request`. */
  check(type: number, address: number, request: number): void {
    const problem = type === VIRTIO_BLK_T_GET_ID ? this.#identityProblem(address) : this.#lifetimeProblem(address);
    if (problem !== undefined)
      this.note('data', type === VIRTIO_BLK_T_GET_ID ? 'get id' : 'get lifetime', problem, request);
  }

  /** Notes a mismatch that has no place on the disk. */
  note(kind: MismatchKind, what: string, detail: string, request: number): void {
    const place = { queue: this.#context.queues[0]!.queue.index, buffer: null, address: null, deviceAddress: null };
    const facts = { difference: null, status: 0, used: null };
    this.#mismatches.note(kind, () => ({ request, what, detail, ...place, ...facts }));
  }

  #identityProblem(address: number): string | undefined {
    const { memory, settings } = this.#context;
    const bytes = memory.u8.slice(address, address + BLOCK_ID_SIZE);
    const end = bytes.indexOf(0);
    const text = bytes.subarray(0, end < 0 ? BLOCK_ID_SIZE : end);
    // What is behind the first NUL is not compared: QEMU leaves it unwritten.
    if (!text.every((byte) => byte >= 0x20 && byte < 0x7f))
      return `${Buffer.from(bytes).toString('hex')} begins with no ASCII string (5.2.6)`;
    const identity = String.fromCharCode(...text);
    if (settings.serial !== '' && identity !== settings.serial)
      return `the disk says '${identity}' instead of '${settings.serial}' (device.serial)`;
    const before = this.#identity;
    this.#identity = identity;
    if (before === undefined || before === identity) return undefined;
    return `the disk says '${identity}', and said '${before}' before`;
  }

  #lifetimeProblem(address: number): string | undefined {
    const { memory, settings, byteOrder } = this.#context;
    const view = new DataView(memory.u8.slice(address, address + BLOCK_LIFETIME_SIZE).buffer);
    const values = [0, 2, 4].map((at) => view.getUint16(at, byteOrder === 'little'));
    const said = values.join(', ');
    if (values.some((value, i) => value > MOST_LIFETIME[i]!)) return `the disk says ${said}: a reserved value (5.2.6)`;
    const { lifetime } = settings;
    if (lifetime === undefined) return undefined;
    const wanted = `${lifetime.preEolInfo}, ${lifetime.typA}, ${lifetime.typB}`;
    return said === wanted ? undefined : `the disk says ${said} instead of ${wanted} (device.lifetime)`;
  }
}
