import {
  formatByteSize,
  GUEST_MEMORY,
  inject,
  type ByteOrder,
  type DmaMapping,
  type DmaPath,
  type GuestMemory,
  type MappingRequest,
  type NegotiationRule,
  type Platform,
  type PlatformTraits,
} from '@virtio-platform/core';
import { injectable, type InjectionToken } from 'tsyringe';
import { DirectTceWindow } from './direct-tce-window.ts';
import { DynamicTceWindow } from './dynamic-tce-window.ts';
import { openDdwWindow } from './open-ddw-window.ts';
import type { PseriesOptions, WindowOptions } from './pseries-options.ts';
import { PSERIES_RULES } from './pseries-rules.ts';
import { TCE_FACILITY, type TceFacility } from './tce-facility.ts';
import { TceDmaMapping } from './tce-dma-mapping.ts';
import { TceWindow } from './tce-window.ts';

export const PSERIES_OPTIONS: InjectionToken<PseriesOptions> = Symbol.for('@virtio-platform/platform-pseries:Options');

const TCE: InjectionToken<TceFacility> = TCE_FACILITY;

/**
 * How large a dynamic 64-bit window is: 2 GiB, because offsets beyond 2^31 are numbers that the engine allocates, which would
 * cost the hot path a few bytes for each mapping; but with large pages as many as a deep queue needs.
 */
const DYNAMIC_BYTES = 2 ** 31;
const DYNAMIC_PAGES_AT_LEAST = 2 ** 12;

/** The window that all queues share: how they map in it, and how it is given back. */
interface OpenedWindow {
  openMapping(capacity: number): DmaMapping;
  close(): void;
}

/**
 * A POWER guest behind a paravirtual IOMMU: what a device that offers ACCESS_PLATFORM reaches is written in TCE tables, by
 * hypercalls. The window is opened with the first need for it, so that a device which ignores the tables leaves no trace in them.
 */
@injectable()
export class PseriesPlatform implements Platform {
  readonly name = 'pseries';
  readonly rules: readonly NegotiationRule[] = PSERIES_RULES;
  readonly guestByteOrder: ByteOrder;
  readonly #options: WindowOptions;
  readonly #memory: GuestMemory;
  readonly #facility: TceFacility;
  #traits: PlatformTraits | undefined;
  #window: OpenedWindow | undefined;
  #identityVerified: boolean | undefined;
  #isDisposed = false;

  constructor(
    @inject(PSERIES_OPTIONS) options: PseriesOptions,
    @inject(GUEST_MEMORY) memory: GuestMemory,
    @inject(TCE) facility: TceFacility,
  ) {
    this.#options = options.window;
    this.#memory = memory;
    this.#facility = facility;
    this.guestByteOrder = options.guestEndian;
  }

  /** Read for the first time, this opens the window if it is to be the identity: a table has to exist to be probed. */
  get traits(): PlatformTraits {
    if (this.#traits !== undefined) return this.#traits;
    if (this.#options.mapping === 'identity') this.#open();
    this.#traits = {
      restrictedMemory: false,
      isolates: true,
      mappedPath: mappedPath(this.#options),
      identityVerified: this.#identityVerified,
      addressMeaning: addressMeaning(this.#options),
    };
    return this.#traits;
  }

  openMapping(path: DmaPath, request: MappingRequest): DmaMapping {
    const mapped = mappedPath(this.#options);
    if (path !== mapped) throw new TypeError(`pseries maps ${mapped} with these options, not ${path}`);
    return this.#open().openMapping(request.capacity);
  }

  dispose(): void {
    this.#isDisposed = true;
    this.#window?.close();
    this.#window = undefined;
  }

  #open(): OpenedWindow {
    if (this.#isDisposed) throw new TypeError('this pseries platform was disposed');
    this.#window ??= this.#openWindow();
    return this.#window;
  }

  #openWindow(): OpenedWindow {
    const { kind, mapping, pageSize } = this.#options;
    if (mapping === 'identity') return this.#openIdentity();
    if (mapping === 'linear') return this.#openLinear();
    const mostPages = Math.max(DYNAMIC_PAGES_AT_LEAST, DYNAMIC_BYTES / pageSize);
    const table = kind === 'ddw' ? this.#openDdw({ mostPages }) : this.#defaultWindow();
    const window = new DynamicTceWindow(table);
    return {
      openMapping: (capacity) => new TceDmaMapping(this.#memory, window, capacity),
      close: () => (kind === 'ddw' ? this.#remove(table) : undefined),
    };
  }

  #openIdentity(): OpenedWindow {
    const window = DirectTceWindow.open(this.#memory, this.#defaultWindow(), 'identity');
    this.#identityVerified = window.isIdentity();
    return { openMapping: (capacity) => window.openMapping(capacity), close: () => window.clear() };
  }

  #openLinear(): OpenedWindow {
    const table = this.#openDdw({ bytes: this.#memory.size });
    try {
      const window = DirectTceWindow.open(this.#memory, table, 'linear');
      return { openMapping: (capacity) => window.openMapping(capacity), close: () => this.#remove(table) };
    } catch (error) {
      this.#remove(table);
      throw error;
    }
  }

  #defaultWindow(): TceWindow {
    return new TceWindow(this.#facility, this.#facility.defaultWindow);
  }

  #openDdw(size: { readonly bytes: number } | { readonly mostPages: number }): TceWindow {
    return openDdwWindow(this.#facility, this.#options.pageSize, size);
  }

  /** Not checked: a machine that does not take its window back is about to end, and the window with it. */
  #remove(table: TceWindow): void {
    this.#facility.removeWindow(table.window.liobn);
  }
}

function mappedPath({ mapping }: WindowOptions): 'identity' | 'linear' | 'translated' {
  return mapping === 'dynamic' ? 'translated' : mapping;
}

function addressMeaning({ kind, mapping, pageSize }: WindowOptions): string {
  if (mapping === 'identity')
    return 'a bus address is the physical address: entry i of the TCE table points at page i, which was probed';
  const pages = formatByteSize(pageSize);
  if (mapping === 'linear') {
    return `a bus address is the physical address plus the base of the 64-bit window (2^59), which maps all of memory in pages of ${pages}`;
  }
  const window = kind === 'default' ? 'default 32-bit' : '64-bit';
  return `each buffer gets bus pages of its own in the ${window} window, with a TCE of exactly its permissions for each page of ${pages}`;
}
