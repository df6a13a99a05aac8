import { CodedError, facilityName, type MachineRequest } from '@virtio-platform/core';
import { PAGE_SIZE } from '@virtio-platform/core/memory';
import { SharedMemory } from '@virtio-platform/host';
import { MEMORY_CONVERSION } from '@virtio-platform/platform-sev';
import { encodeSharedArea, logBytes, takeMarkedPages } from '@virtio-platform/vhost-user';
import type { BackEnd } from '../back-end.ts';
import type { VhostUserConnection } from '../vhost-user-connection.ts';

/** Bytes of the answer to SET_LOG_BASE: none, as DPDK has it, or one u64, as libvhost-user. */
const ANSWER_BYTES = [0, 8] as const;

/**
 * The log of the pages of guest memory that the back-end writes to, a bit for each, in memory that the back-end marks
 * them in.
 */
export class DirtyPages {
  readonly #connection: VhostUserConnection;
  readonly #memory: SharedMemory;
  readonly #log: Uint8Array;
  readonly #seen = new Set<number>();
  /** Those that {@link take} did not give yet. */
  readonly #pending = new Set<number>();

  private constructor(connection: VhostUserConnection, size: number) {
    this.#connection = connection;
    this.#memory = SharedMemory.create(Math.ceil(logBytes(size) / PAGE_SIZE) * PAGE_SIZE);
    this.#log = new Uint8Array(this.#memory.buffer, 0, logBytes(size));
  }

  /**
   * Gives the back-end a log of all guest memory. Throws `ERR_PLUGIN_FACILITY` where the platform gives the back-end
   * addresses that are not those of guest memory, {@link DeviceError} and {@link HostError}.
   */
  static open(connection: VhostUserConnection, { memory, needs }: MachineRequest, backEnd: BackEnd): DirtyPages {
    const [need] = needs;
    if (need !== undefined && need !== MEMORY_CONVERSION && !backEnd.translates) {
      const problem = `a log of dirty pages has guest-physical addresses, and ${facilityName(need)} gives others`;
      throw new CodedError('ERR_PLUGIN_FACILITY', `${problem} to a back-end that does not translate`, {
        hint: 'leave machine.dirtyLog out, or use a back-end that translates (ACCESS_PLATFORM), or another platform',
      });
    }
    const log = new DirtyPages(connection, memory);
    try {
      log.give();
      return log;
    } catch (error) {
      log.dispose();
      throw error;
    }
  }

  /** Pages that were marked so far, each counted once. */
  get count(): number {
    this.#look();
    return this.#seen.size;
  }

  /** The guest-physical addresses of the pages that were marked since the last call, ascending. */
  take(): readonly number[] {
    this.#look();
    const pages = [...this.#pending].toSorted((one, other) => one - other);
    this.#pending.clear();
    return pages;
  }

  /** Has the back-end mark in this log. Throws {@link DeviceError}. */
  give(): void {
    const area = encodeSharedArea({ size: BigInt(this.#log.length), offset: 0n });
    this.#connection.queryWith('SET_LOG_BASE', area, [this.#memory.descriptor], ANSWER_BYTES);
  }

  dispose(): void {
    this.#memory.dispose();
  }

  #look(): void {
    for (const page of takeMarkedPages(this.#log)) {
      this.#seen.add(page);
      this.#pending.add(page);
    }
  }
}
