import type { FacilityToken, MachineRequest } from '@virtio-platform/core';
import type { FaultLog } from '@virtio-platform/core/address-space';
import { GuestMemory } from '@virtio-platform/core/memory';
import { ConvertibleMemory } from '@virtio-platform/host';
import { AnnouncedDmaMapping } from '../iotlb/announced-dma-mapping.ts';
import { BackChannel } from '../iotlb/back-channel.ts';
import { Iotlb } from '../iotlb/iotlb.ts';
import { watchCalls } from '../iotlb/watch-calls.ts';
import type { IotlbPolicy } from '../options.ts';
import { encodeMemoryTable } from '../protocol.ts';
import type { VhostUserConnection } from '../vhost-user-connection.ts';
import type { DeviceMemory } from './device-memory.ts';
import { SharedPages } from './shared-pages.ts';

/** Clear of 0, which means "none" to some back-ends. */
const USER_ADDRESS = 0x1_0000_0000n;

export interface TranslatedMemoryOptions {
  /** The platform's hardware in software, which the driver programs and the back-end is translated by. */
  readonly simulate: NonNullable<MachineRequest['simulate']>;
  /** Bytes of guest memory. */
  readonly size: number;
  readonly faults: FaultLog;
  readonly iotlb: IotlbPolicy;
  readonly replyTimeoutMs: number;
}

/**
 * Creates guest memory for a back-end that offers ACCESS_PLATFORM: all of it is in its memory table, and what it reaches of it is
 * decided page by page, when it asks. Throws {@link HostError} and {@link DeviceError}.
 */
export function openTranslatedMemory(connection: VhostUserConnection, options: TranslatedMemoryOptions): DeviceMemory {
  const { simulate, size, faults, replyTimeoutMs } = options;
  const { tell, writeImpliesRead } = options.iotlb;
  const backing = ConvertibleMemory.create(size);
  try {
    const memory = new GuestMemory(backing.buffer);
    const hardware = simulate(memory);
    const region = { guestAddress: 0n, size, userAddress: USER_ADDRESS, offset: 0 };
    connection.command('SET_MEM_TABLE', encodeMemoryTable(region), [backing.descriptor]);
    const iotlb = new Iotlb(connection, {
      memory,
      translation: hardware.addressSpace(true),
      faults,
      pages: new SharedPages(backing),
      userAddress: USER_ADDRESS,
      writeImpliesRead,
    });
    const backChannel = BackChannel.open(connection, iotlb, replyTimeoutMs);
    connection.attendWith(backChannel);
    return {
      memory,
      facilities: watchAll(hardware.facilities, () => iotlb.refresh()),
      regions: undefined,
      backChannel,
      recorded: undefined,
      queueStarted: tell === 'at-map' ? () => iotlb.repeat() : undefined,
      watchMapping: tell === 'at-map' ? (mapping) => new AnnouncedDmaMapping(mapping, iotlb) : undefined,
      locate(low, high, length) {
        const offset = iotlb.locate(low, high, length);
        return offset < 0 ? undefined : { address: (BigInt(high) << 32n) | BigInt(low), offset, region: undefined };
      },
      dispose() {
        backChannel.dispose();
        backing.dispose();
      },
    };
  } catch (error) {
    backing.dispose();
    throw error;
  }
}

/** Whatever the platform does with its hardware, the back-end has to hear of what it took away. */
function watchAll(facilities: ReadonlyMap<FacilityToken, unknown>, after: () => void): Map<FacilityToken, unknown> {
  const watched = new Map<FacilityToken, unknown>();
  for (const [token, facility] of facilities) {
    watched.set(token, typeof facility === 'object' && facility !== null ? watchCalls(facility, after) : facility);
  }
  return watched;
}
