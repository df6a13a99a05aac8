import type { FacilityToken, MachineRecorder, MachineRequest } from '@virtio-platform/core';
import type { FaultLog } from '@virtio-platform/core/address-space';
import { GuestMemory } from '@virtio-platform/core/memory';
import { ConvertibleMemory } from '@virtio-platform/host';
import { ForwardingDmaMapping, type DmaDirection, type DmaMapping, type DmaRegion } from '@virtio-platform/core/dma';
import type { BackChannel } from '../back-channel.ts';
import { Iotlb } from '../iotlb/iotlb.ts';
import type { IotlbPolicy } from '../options.ts';
import { encodeMemoryTable } from '@virtio-platform/vhost-user';
import type { VhostUserConnection } from '../vhost-user-connection.ts';
import type { DeviceMemory } from './device-memory.ts';
import { SharedPages } from './shared-pages.ts';

/** Clear of 0, which means "none" to some back-ends. */
const USER_ADDRESS = 0x1_0000_0000n;

/** What {@link openTranslatedMemory} needs of the machine. */
export interface TranslatedMemoryOptions {
  /** The platform's hardware in software, which the driver programs and the back-end is translated by. */
  readonly simulate: NonNullable<MachineRequest['simulate']>;
  /** Bytes of guest memory. */
  readonly size: number;
  readonly faults: FaultLog;
  readonly iotlb: IotlbPolicy;
  /** The channel on which the back-end asks for translations. */
  readonly backChannel: BackChannel;
  readonly recorder?: MachineRecorder | undefined;
}

/**
 * Creates guest memory for a back-end that offers ACCESS_PLATFORM: all of it is in its memory table, and what it
 * reaches of it is decided page by page, when it asks. Throws {@link HostError} and {@link DeviceError}.
 */
export function openTranslatedMemory(connection: VhostUserConnection, options: TranslatedMemoryOptions): DeviceMemory {
  const { simulate, size, faults, backChannel, recorder } = options;
  const { fill, writeImpliesRead } = options.iotlb;
  const backing = ConvertibleMemory.create(size);
  try {
    const memory = new GuestMemory(backing.buffer);
    const hardware = simulate(memory);
    const region = { guestAddress: 0n, size, userAddress: USER_ADDRESS, offset: 0 };
    const give = (): void => connection.command('SET_MEM_TABLE', encodeMemoryTable(region), [backing.descriptor]);
    give();
    const translation = hardware.addressSpace(true);
    const iotlb = new Iotlb(connection, {
      memory,
      translation,
      faults,
      pages: new SharedPages(backing),
      userAddress: USER_ADDRESS,
      writeImpliesRead,
      recorder,
    });
    backChannel.translateWith(iotlb);
    return {
      memory,
      facilities: watchAll(hardware.facilities, () => iotlb.refresh()),
      regions: undefined,
      recorded: undefined,
      // Its cache is empty: it asks for what the record of the last one has, or is told of it with its queues.
      replay: give,
      deviceReset: () => iotlb.reset(),
      queuesSetUp: fill === 'at-map' ? () => iotlb.repeat() : undefined,
      watchMapping: fill === 'at-map' ? (mapping) => new AnnouncedDmaMapping(mapping, iotlb) : undefined,
      locate(low, high, length) {
        const offset = iotlb.locate(low, high, length);
        return offset < 0 ? undefined : { address: (BigInt(high) << 32n) | BigInt(low), offset, region: undefined };
      },
      space: (log) => translation.open(memory, log, translation.state),
      dispose: () => backing.dispose(),
    };
  } catch (error) {
    backing.dispose();
    throw error;
  }
}

/** Calls `after` after each call of a facility: the back-end has to invalidate what the call unmapped. */
function watchAll(facilities: ReadonlyMap<FacilityToken, unknown>, after: () => void): Map<FacilityToken, unknown> {
  const watched = new Map<FacilityToken, unknown>();
  for (const [token, facility] of facilities) {
    watched.set(token, typeof facility === 'object' && facility !== null ? watchCalls(facility, after) : facility);
  }
  return watched;
}

/**
 * A mapping that sends each mapped page to the back-end before the back-end asks for it: the pages of buffers are
 * confirmed when the queue publishes them ({@link DmaMapping.syncMap}), those of a region before it is returned. Owns
 * the wrapped mapping. Invalidations are sent by the watched facility behind the mapping.
 */
export class AnnouncedDmaMapping extends ForwardingDmaMapping {
  readonly #iotlb: Iotlb;
  readonly #words = new Uint32Array(2);

  constructor(inner: DmaMapping, iotlb: Iotlb) {
    super(inner, { syncMap: () => iotlb.confirm() });
    this.#iotlb = iotlb;
  }

  override map(address: number, length: number, direction: DmaDirection, words: Uint32Array, at: number): number {
    const id = super.map(address, length, direction, words, at);
    if (id >= 0) this.#iotlb.announce(words[at]!, words[at + 1]!, length);
    return id;
  }

  override premap(address: number, length: number, direction: DmaDirection): DmaRegion {
    return this.#announced(super.premap(address, length, direction));
  }

  override allocateCoherent(length: number, alignment: number): DmaRegion {
    return this.#announced(super.allocateCoherent(length, alignment));
  }

  #announced(region: DmaRegion): DmaRegion {
    region.writeDeviceAddress(0, this.#words, 0);
    this.#iotlb.announce(this.#words[0]!, this.#words[1]!, region.length);
    this.#iotlb.confirm();
    return region;
  }
}

/**
 * The same facility, with `after` called whenever a call of it is over. An object that it hands out by name, such as
 * the ultravisor of a secure guest, is watched too; plain data is not. So a copy of the translations is updated before
 * the caller goes on, whichever facility it is.
 */
export function watchCalls<Facility extends object>(facility: Facility, after: () => void): Facility {
  const calls = new Map<string | symbol, unknown>();
  return new Proxy(facility, {
    get(target, key) {
      // The facility itself is `this`: private fields are not reached through a proxy.
      const value: unknown = Reflect.get(target, key, target);
      if (typeof value !== 'function') return isInstance(value) ? watchCalls(value, after) : value;
      const known = calls.get(key);
      if (known !== undefined) return known;
      const call = (...values: unknown[]): unknown => {
        try {
          return Reflect.apply(value, target, values);
        } finally {
          after();
        }
      };
      calls.set(key, call);
      return call;
    },
  });
}

function isInstance(value: unknown): value is object {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  return Object.getPrototypeOf(value) !== Object.prototype;
}
