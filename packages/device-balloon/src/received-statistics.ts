import type { DeviceAddressSpace } from '@virtio-platform/core/address-space';
import type { DescriptorChain } from '@virtio-platform/core/queue';
import { readChain } from '@virtio-platform/device-kit';
import { STATISTIC_COUNT, STATISTIC_SIZE, STATISTIC_TAGS } from './layout.ts';

/** Statistics of one buffer that a device looks at; it ignores those behind them. */
const MOST_STATISTICS = 64;

/**
 * The statistics that a device got last, by their tags (specification 1.4 section 5.5.6.2). Entries come in any order,
 * and those with a tag that the specification does not have are ignored.
 */
export class ReceivedStatistics {
  /** By tag; `undefined` for one that the driver does not supply. */
  readonly values: (bigint | undefined)[] = Array.from({ length: STATISTIC_COUNT }, () => undefined);
  readonly #littleEndian: boolean;
  readonly #bytes = new Uint8Array(MOST_STATISTICS * STATISTIC_SIZE);
  readonly #view = new DataView(this.#bytes.buffer);

  constructor(littleEndian: boolean) {
    this.#littleEndian = littleEndian;
  }

  /** Forgets them. */
  clear(): void {
    this.values.fill(undefined);
  }

  /**
   * Reads the buffer of a driver. Returns what is wrong with it, in words; `undefined` where nothing is, and where it
   * could not be read.
   */
  read(chain: DescriptorChain, space: DeviceAddressSpace): string | undefined {
    this.clear();
    const { readableBytes } = chain;
    const count = Math.min(Math.floor(readableBytes / STATISTIC_SIZE), MOST_STATISTICS);
    if (!readChain(chain, space, 0, this.#bytes, 0, count * STATISTIC_SIZE)) return undefined;
    let problem: string | undefined;
    for (let i = 0; i < count; i++) {
      const tag = this.#view.getUint16(i * STATISTIC_SIZE, this.#littleEndian);
      if (tag >= STATISTIC_COUNT) continue;
      if (this.values[tag] !== undefined) problem = `has statistic ${tag} twice`;
      this.values[tag] = this.#view.getBigUint64(i * STATISTIC_SIZE + 2, this.#littleEndian);
    }
    const free = this.values[STATISTIC_TAGS.freeMemory];
    const total = this.values[STATISTIC_TAGS.totalMemory];
    if (free !== undefined && total !== undefined && free > total)
      problem = `says that ${free} of ${total} bytes are free`;
    if (readableBytes % STATISTIC_SIZE !== 0) problem = `of ${readableBytes} bytes is no list of statistics`;
    return problem;
  }
}
