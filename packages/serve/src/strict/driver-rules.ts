/** What a rule asks of a driver. */
export interface DriverRule {
  /** Sections of virtio 1.4: `2.7.5.2`. */
  readonly clause: string;
  /**
   * `error`: the specification forbids it. `advice`: the specification advises against it, or drivers that are used
   * everywhere do it and devices take it. Advice never ends a device.
   */
  readonly level: 'error' | 'advice';
  /** What to do. */
  readonly hint: string;
}

/** Every rule for drivers by its stable code. `driver-findings.md` has a heading for each. */
export const DRIVER_RULES = {
  'DRV-FEATURE-NOT-OFFERED': {
    clause: '2.2.1',
    level: 'error',
    hint: 'accept only bits that the device offers: read them first, and mask',
  },
  'DRV-FEATURE-DEPENDENCY': {
    clause: '2.2.1',
    level: 'error',
    hint: 'accept the feature that the other one needs too, or neither',
  },
  'DRV-CONFIG-WRITE': {
    clause: '2.5',
    level: 'error',
    hint: 'write only whole fields that the device type lets a driver write',
  },
  'DRV-QUEUE-SIZE': {
    clause: '2.7, 2.8',
    level: 'error',
    hint: 'give a split queue a power of two of entries, and a queue no more than the device has',
  },
  'DRV-RING-MISALIGNED': {
    clause: '2.7.1, 2.8.11',
    level: 'error',
    hint: 'align the descriptor area to 16 bytes, and the others to 2 and 4 (split), or 4 and 4 (packed)',
  },
  'DRV-RING-UNREACHABLE': {
    clause: '2.6',
    level: 'error',
    hint: 'keep ring and indirect tables in memory that the device reaches until it is reset',
  },
  'DRV-AVAIL-INDEX': {
    clause: '2.7.6.1',
    level: 'error',
    hint: 'add 1 to idx for each buffer, never take one back, and have no more in flight than entries',
  },
  'DRV-AVAIL-FLAGS': {
    clause: '2.7.7.1',
    level: 'error',
    hint: 'write 0 or 1 to avail.flags, and with EVENT_IDX always 0',
  },
  'DRV-EVENT-FLAGS': {
    clause: '2.8.10, 2.8.14',
    level: 'error',
    hint: 'write 0, 1, or with EVENT_IDX 2 to the flags, and an offset below the queue size',
  },
  'DRV-HEAD-RANGE': {
    clause: '2.7.6',
    level: 'error',
    hint: 'put the index of a descriptor of the table into the available ring',
  },
  'DRV-ID-RANGE': { clause: '2.8.13', level: 'error', hint: 'use buffer ids below the queue size' },
  'DRV-HEAD-IN-FLIGHT': {
    clause: '2.7.13, 3.3.1',
    level: 'error',
    hint: 'free a descriptor only when its buffer was in the used ring',
  },
  'DRV-DESCRIPTOR-SHARED': {
    clause: '3.3.1',
    level: 'error',
    hint: 'give each buffer descriptors of its own until it was in the used ring',
  },
  'DRV-NEXT-RANGE': {
    clause: '2.7.5',
    level: 'error',
    hint: 'let next be an index of the same table, or leave VIRTQ_DESC_F_NEXT out',
  },
  'DRV-CHAIN-LOOP': {
    clause: '2.7.5.2',
    level: 'error',
    hint: 'end each chain with a descriptor without VIRTQ_DESC_F_NEXT',
  },
  'DRV-CHAIN-LONG': {
    clause: '2.7.5.3.1, 2.8.17',
    level: 'error',
    hint: 'cut the request into chains no longer than the queue',
  },
  'DRV-TABLE-LONG': {
    clause: '2.7.5.3.1, 2.8.19',
    level: 'advice',
    hint: 'cut the request into tables no longer than the queue; Linux does not, and devices take up to 1024 entries',
  },
  'DRV-LIST-UNAVAILABLE': {
    clause: '2.8.17',
    level: 'error',
    hint: 'write the flags of the first descriptor of a list last, behind a barrier',
  },
  'DRV-LIST-SPACE': {
    clause: '2.8.17',
    level: 'error',
    hint: 'look for room for the whole list before its first descriptor is available',
  },
  'DRV-ORDER-DIRECTION': {
    clause: '2.7.4.2, 2.8.17',
    level: 'error',
    hint: 'put what the device reads in front of what it writes',
  },
  'DRV-IN-ORDER-NEXT': {
    clause: '2.7.5.2, 2.7.5.3.1',
    level: 'error',
    hint: 'with IN_ORDER use the descriptors one after the other: next is always the following one',
  },
  'DRV-LENGTH': {
    clause: '2.7.5.2',
    level: 'error',
    hint: 'describe 1 byte at least, 4 GiB at most in a chain, and no range behind all addresses',
  },
  'DRV-INDIRECT-FEATURE': {
    clause: '2.7.5.3.1, 2.8.19',
    level: 'error',
    hint: 'use indirect descriptors only after accepting RING_INDIRECT_DESC',
  },
  'DRV-INDIRECT-NEXT': {
    clause: '2.7.5.3.1, 2.8.19',
    level: 'error',
    hint: 'let a table be the whole rest of a chain: INDIRECT without NEXT',
  },
  'DRV-INDIRECT-NESTED': {
    clause: '2.7.5.3.1, 2.8.19',
    level: 'error',
    hint: 'put buffers into a table, and no other table',
  },
  'DRV-INDIRECT-LENGTH': {
    clause: '2.7.5.3',
    level: 'error',
    hint: 'give a table 16 bytes for each entry, one at least',
  },
  'DRV-TABLE-FLAGS': {
    clause: '2.8.19',
    level: 'advice',
    hint: 'set VIRTQ_DESC_F_WRITE or nothing in an indirect table of a packed ring',
  },
  'DRV-DESCRIPTOR-CHANGED': {
    clause: '3.3.1, 2.8.16',
    level: 'error',
    hint: 'leave descriptors alone until their buffer was in the used ring',
  },
  'DRV-TABLE-CHANGED': {
    clause: '3.3.1',
    level: 'error',
    hint: 'leave an indirect table alone until its buffer was in the used ring',
  },
  'DRV-BUFFER-CHANGED': {
    clause: '2.6',
    level: 'error',
    hint: 'leave a buffer alone until it was in the used ring: copy what has to change',
  },
  'DRV-ADDRESS': {
    clause: '2.6',
    level: 'error',
    hint: 'describe memory of the guest that the front-end shares with the device',
  },
  'DRV-NOT-MAPPED': {
    clause: '6.1',
    level: 'error',
    hint: 'map a buffer before it is available, and unmap it after it was in the used ring',
  },
  'DRV-MAP-DIRECTION': {
    clause: '6.1',
    level: 'error',
    hint: 'map what the device writes for writing, and what it reads for reading',
  },
  'DRV-NOTIFY-EARLY': { clause: '3.1.1', level: 'error', hint: 'set DRIVER_OK first, then notify' },
  'DRV-NOTIFY-MISSING': {
    clause: '2.7.10.1, 2.8.21.3.1',
    level: 'error',
    hint: 'notify after idx (or flags) was written: a full barrier, then look whether the device wants it',
  },
  'DRV-NOTIFY-NEEDLESS': {
    clause: '2.7.10.1',
    level: 'advice',
    hint: 'look at used.flags, or with EVENT_IDX at avail_event, before notifying',
  },
  'DRV-REQUEST-HEADER': {
    clause: '5',
    level: 'error',
    hint: 'put all of the header in front of the data, in parts that the device reads',
  },
  'DRV-REQUEST-STATUS': {
    clause: '5',
    level: 'error',
    hint: 'end the buffer with room that the device may write for its answer',
  },
  'DRV-REQUEST-LENGTH': { clause: '5', level: 'error', hint: 'use lengths that this request can have' },
  'DRV-REQUEST-RANGE': { clause: '5', level: 'error', hint: 'read the configuration, and stay inside of what it says' },
  'DRV-REQUEST-FEATURE': { clause: '5', level: 'error', hint: 'make this request only after accepting its feature' },
  'DRV-REQUEST-VALUE': {
    clause: '5',
    level: 'error',
    hint: 'use the values that the specification has for this field',
  },
  'DRV-REQUEST-DIRECTION': { clause: '5', level: 'error', hint: 'give the queue buffers of its own direction only' },
} as const;

/** The code of a finding. */
export type DriverRuleCode = keyof typeof DRIVER_RULES;
