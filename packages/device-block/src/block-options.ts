import type { ByteOrder } from '@virtio-platform/core/queue';

/** A disk that gets another size while it is used. */
export interface BlockResize {
  /** The number of handled requests after which it happens. */
  readonly after: number;
  /** Bytes; whole blocks. */
  readonly capacity: number;
}

/** What a disk says of how it likes its requests, in bytes: multiples of its blocks. */
export interface BlockTopologyOptions {
  /** A power of two, at least a block. As long as a block unless given. */
  readonly physicalBlockSize?: number | undefined;
  /** Where the first physical block begins; at most 255 blocks. 0 unless given. */
  readonly alignmentOffset?: number | undefined;
  /** Suggested least length of a request, at most 65,535 blocks. Says nothing unless given. */
  readonly minIoSize?: number | undefined;
  /** Suggested best length of a request. Says nothing unless given. */
  readonly optIoSize?: number | undefined;
}

/** Limits of discards, or of secure erases. */
export interface BlockRangeOptions {
  /** Sectors of 512 bytes of each range. */
  readonly maxSectors?: number | undefined;
  /** Ranges of a request, 1 to 256. */
  readonly maxSegments?: number | undefined;
  /** Sectors at whose multiples a driver should cut a long request. One block unless given. */
  readonly alignment?: number | undefined;
}

/** Limits of writes of zeroes. */
export interface BlockZeroOptions extends Pick<BlockRangeOptions, 'maxSectors' | 'maxSegments'> {
  /** Whether the disk says that it may deallocate what it zeroes. It says so unless false. */
  readonly mayUnmap?: boolean | undefined;
}

/** The answer to GET_LIFETIME. Specification 1.4 section 5.2.6. */
export interface BlockLifetimeOptions {
  /** Reserved blocks that are used up: 0 unknown, 1 normal, 2 80 percent, 3 90 percent. */
  readonly preEolInfo: number;
  /** Wear of SLC and of MLC cells in steps of 10 percent, 1 to 11; 0 unknown. */
  readonly typA: number;
  readonly typB: number;
}

/** The settings of the block device half. */
export interface BlockDeviceOptions {
  readonly readOnly: boolean;
  /** At most 20 bytes of ASCII. */
  readonly serial: string;
  /** Request queues, of which a driver without MQ uses the first. */
  readonly queues: number;
  /** Largest size of each, in entries. */
  readonly queueSize: number;
  /** Bytes of a block: a power of two, 512 to 2 MiB. 512 unless given. */
  readonly blockSize?: number | undefined;
  readonly topology?: BlockTopologyOptions | undefined;
  /** Cylinders, heads and sectors. Not offered unless given. */
  readonly geometry?: { readonly cylinders: number; readonly heads: number; readonly sectors: number } | undefined;
  /** Bytes of the longest segment. Not offered unless given. */
  readonly sizeMax?: number | undefined;
  /** Most data segments of a request. As many as a queue has room for unless given. */
  readonly segMax?: number | undefined;
  /** Whether the cache is write-back at first. It is unless false. */
  readonly writeback?: boolean | undefined;
  /** Whether there are such requests, and their limits. There are unless false. */
  readonly discard?: boolean | BlockRangeOptions | undefined;
  readonly writeZeroes?: boolean | BlockZeroOptions | undefined;
  /** Whether there are such requests, and their limits. There are none unless given. */
  readonly secureErase?: boolean | BlockRangeOptions | undefined;
  readonly lifetime?: BlockLifetimeOptions | undefined;
  /** When the disk gets another capacity. None unless given. */
  readonly resizes?: readonly BlockResize[] | undefined;
  /** Of configuration and request headers: the guest's own on the legacy interface. */
  readonly byteOrder: ByteOrder;
}
