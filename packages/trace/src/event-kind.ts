/** Who does what an event tells of: the track of a timeline that shows it. */
export type EventTrack = 'driver' | 'mapping' | 'device' | 'iommu' | 'run';

/** One kind of event: its name, its track, and what its numbers mean where they mean anything. */
export interface EventRow {
  readonly name: string;
  readonly track: EventTrack;
  /** What `id` is: of a buffer, of a mapping, or another number. */
  readonly id?: string;
  /** What the guest-physical `address` is. */
  readonly address?: string;
  /** What the device address is. */
  readonly deviceAddress?: string;
  /** What `length` counts. */
  readonly length?: string;
  /** What `extra` is. */
  readonly extra?: string;
}

/** The number of each kind of event, for recorders. */
export const KIND = {
  add: 0,
  publish: 1,
  notify: 2,
  takeUsed: 3,
  enableNotifications: 4,
  wait: 5,
  map: 6,
  unmap: 7,
  premap: 8,
  coherent: 9,
  release: 10,
  syncForCpu: 11,
  syncForDevice: 12,
  pop: 13,
  push: 14,
  flush: 15,
  read: 16,
  write: 17,
  borrow: 18,
  interrupt: 19,
  configChange: 20,
  fault: 21,
  iotlbMiss: 22,
  iotlbUpdate: 23,
  iotlbInvalidate: 24,
  status: 25,
  features: 26,
  configRead: 27,
  configWrite: 28,
  enableQueue: 29,
  resetQueue: 30,
  takeBack: 31,
  broken: 32,
  negotiation: 33,
  plugin: 34,
  finding: 35,
  mismatch: 36,
  failure: 37,
  external: 38,
  pool: 39,
} as const;

/** `extra` of a push whose length is not known. */
export const PUSH_NOT_SHOWN = 1;

/** The name of a kind of event. */
export type EventKind = keyof typeof KIND;

/**
 * What an event of each kind means. A negative `id` of `add` and `map`
 * is the reason why they failed.
 */
export const EVENT_KINDS: Readonly<Record<EventKind, EventRow>> = {
  add: {
    name: 'add',
    track: 'driver',
    id: 'buffer',
    address: 'first segment',
    length: 'bytes of all segments',
    extra: 'segments, and above 16 bits those that the device reads',
  },
  publish: { name: 'publish', track: 'driver', id: '1 where the device wants a notification', extra: 'next available' },
  notify: { name: 'notify', track: 'driver', extra: 'next available' },
  takeUsed: { name: 'takeUsed', track: 'driver', id: 'buffer', length: 'bytes written', extra: 'next used' },
  enableNotifications: { name: 'enable notifications', track: 'driver', id: '0 where buffers came meanwhile' },
  wait: { name: 'wait', track: 'driver', length: 'milliseconds at most', extra: '0 notified, 1 timeout, 2 lost' },
  map: {
    name: 'map',
    track: 'mapping',
    id: 'mapping',
    address: 'buffer',
    deviceAddress: 'buffer',
    length: 'bytes',
    extra: 'direction',
  },
  unmap: { name: 'unmap', track: 'mapping', id: 'mapping', length: 'bytes written' },
  premap: {
    name: 'premap',
    track: 'mapping',
    address: 'region',
    deviceAddress: 'region',
    length: 'bytes',
    extra: 'direction',
  },
  coherent: {
    name: 'allocate coherent',
    track: 'mapping',
    address: 'region',
    deviceAddress: 'region',
    length: 'bytes',
    extra: 'direction',
  },
  release: { name: 'release', track: 'mapping', address: 'region', deviceAddress: 'region', length: 'bytes' },
  syncForCpu: {
    name: 'sync for CPU',
    track: 'mapping',
    id: 'mapping',
    address: 'bytes of a region',
    length: 'bytes',
    extra: 'offset',
  },
  syncForDevice: {
    name: 'sync for device',
    track: 'mapping',
    id: 'mapping',
    address: 'bytes of a region',
    length: 'bytes',
    extra: 'offset',
  },
  pop: {
    name: 'pop',
    track: 'device',
    id: 'head',
    deviceAddress: 'first segment',
    length: 'bytes of all segments',
    extra: 'segments, and above 16 bits those that the device reads',
  },
  push: {
    name: 'push',
    track: 'device',
    id: 'head',
    length: 'bytes written',
    extra: '1 where the length is not known: the driver was not shown the buffer',
  },
  flush: { name: 'used', track: 'device', id: '1 where the driver wants a notification', length: 'buffers' },
  read: { name: 'read', track: 'device', id: '0 after a fault', deviceAddress: 'bytes', length: 'bytes' },
  write: { name: 'write', track: 'device', id: '0 after a fault', deviceAddress: 'bytes', length: 'bytes' },
  borrow: {
    name: 'borrow',
    track: 'device',
    id: '0 after a fault',
    address: 'bytes',
    deviceAddress: 'bytes',
    length: 'bytes',
    extra: '1 to write',
  },
  interrupt: { name: 'used buffer notification', track: 'device' },
  configChange: { name: 'configuration change', track: 'device', extra: 'generation' },
  fault: { name: 'fault', track: 'iommu', id: '1 for a write', deviceAddress: 'bytes', length: 'bytes' },
  iotlbMiss: { name: 'IOTLB miss', track: 'iommu', deviceAddress: 'first byte' },
  iotlbUpdate: { name: 'IOTLB update', track: 'iommu', address: 'page', deviceAddress: 'page', length: 'bytes' },
  iotlbInvalidate: { name: 'IOTLB invalidate', track: 'iommu', deviceAddress: 'first page', length: 'bytes' },
  status: { name: 'status', track: 'driver', id: '1 written, 0 read', extra: 'device status' },
  features: { name: 'features', track: 'driver', deviceAddress: 'feature bits', id: '1 written, 0 read' },
  configRead: { name: 'read configuration', track: 'driver', extra: 'offset', length: 'bytes' },
  configWrite: { name: 'write configuration', track: 'driver', extra: 'offset', length: 'bytes' },
  enableQueue: { name: 'enable queue', track: 'driver', extra: 'entries' },
  resetQueue: { name: 'reset queue', track: 'driver' },
  takeBack: { name: 'take back', track: 'driver', id: 'buffer' },
  broken: { name: 'queue broken', track: 'driver' },
  negotiation: { name: 'negotiation', track: 'run' },
  plugin: { name: 'plugin', track: 'run', id: '1 after an error', length: 'microseconds' },
  finding: {
    name: 'finding',
    track: 'run',
    id: 'buffer',
    address: 'memory',
    deviceAddress: 'memory',
    length: 'bytes',
  },
  mismatch: { name: 'mismatch', track: 'run', id: 'buffer', address: 'data', deviceAddress: 'data' },
  failure: { name: 'failure', track: 'run' },
  external: { name: 'external', track: 'device' },
  pool: { name: 'pool', track: 'mapping', length: 'slots', extra: 'slots in use' },
};

/** The kinds in the order of their numbers. */
export const KIND_NAMES: readonly EventKind[] = Object.keys(KIND).filter((name): name is EventKind => name in KIND);
