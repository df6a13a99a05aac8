import { mutationsOf, type Mutation } from './mutation.ts';

const mapping: readonly Mutation[] = [
  ...mutationsOf('core/src/dma/bounce/bounced-dma-mapping.ts', [
    {
      name: 'copies a whole slot back, whatever was written',
      cases: ['D46'],
      from: 'const brought = written < length ? written : length;',
      to: 'const brought = length;',
    },
    {
      name: 'throws when the pool is used up',
      cases: ['M2'],
      from: 'if (copy < 0) return DMA_NO_SPACE;',
      to: "if (copy < 0) throw new RangeError('the pool is used up');",
    },
    {
      name: 'does not look at the longest mapping',
      cases: ['M3'],
      from: 'if (length > this.limits.maxMappingSize) return DMA_TOO_LARGE;',
      to: '',
    },
    {
      name: 'shows the device what is behind a buffer',
      cases: ['M9'],
      from: 'this.#copy(copy, address, length);',
      to: 'this.#copy(copy, address, BOUNCE_SLOT_SIZE);',
    },
  ]),
  ...mutationsOf('core/src/dma/mapping-table.ts', [
    { name: 'takes an id that was given back', cases: ['M8'], from: '|| this.#id[slot] !== id) throw', to: ') throw' },
  ]),
  ...mutationsOf('core/src/address-space/translated-address-space.ts', [
    {
      name: 'translates the first page of a range for every page of it',
      cases: ['R-07', 'V19'],
      from: 'const sum = low + done;',
      to: 'const sum = low;',
    },
    {
      name: 'touches what is not memory',
      cases: ['V12'],
      from: 'if (address < 0) {\n      this.#fault',
      to: 'if (address < -1) {\n      this.#fault',
    },
  ]),
  ...mutationsOf('core/src/memory/guest-memory.ts', [
    {
      name: 'gives memory out with the bytes of its last owner',
      cases: ['V52'],
      from: 'this.u8.fill(0, address, address + length);',
      to: '',
    },
  ]),
];

const device: readonly Mutation[] = [
  ...mutationsOf('core/src/device/reset-device.ts', [
    {
      name: 'takes a reset for confirmed that is not',
      cases: ['D45'],
      from: 'readDeviceStatus(transport)) === 0,',
      to: 'readDeviceStatus(transport)) >= 0,',
    },
  ]),
  ...mutationsOf('device-block/src/block-executor.ts', [
    {
      name: 'takes a request of which the header is not readable',
      cases: ['V14'],
      from: 'if (!readChain(chain, space, 0, this.#header, 0, wire.BLOCK_HEADER_SIZE)) return wire.VIRTIO_BLK_S_IOERR;',
      to: 'readChain(chain, space, 0, this.#header, 0, wire.BLOCK_HEADER_SIZE);',
    },
  ]),
  ...mutationsOf('device-block/src/block-device.ts', [
    {
      name: 'does what a request asks for that has no status',
      cases: ['V14'],
      from: 'if (chain.writableBytes === 0) return 0;\n    const isRight',
      to: 'const isRight',
    },
  ]),
  ...mutationsOf('core/src/queue/ring/notification.ts', [
    {
      name: 'hears a value with a high half that was not negotiated',
      cases: ['V35'],
      from: 'value <= 0xffff ? value : -1',
      to: 'value & 0xffff',
    },
  ]),
  ...mutationsOf('core/src/device/await-device.ts', [
    {
      name: 'waits for ever',
      cases: ['D45', 'V50'],
      from: 'if (performance.now() > deadline) throw',
      to: 'if (performance.now() > deadline) return;\n    if (deadline < 0) throw',
    },
  ]),
  ...mutationsOf('machine-simulated/src/simulated-device.ts', [
    {
      name: 'believes what a notification says of the ring',
      cases: ['V35'],
      from: 'if (enabled === undefined) return;\n    try {',
      to: 'if (enabled === undefined || value >>> 16 !== 1) return;\n    try {',
    },
    {
      name: 'goes on with a queue that was reset alone',
      cases: ['V50'],
      from: 'this.#queues[index] = undefined;',
      to: '',
    },
    {
      name: 'resets a queue without the feature',
      cases: ['V50'],
      from: "if (!this.#accepted.has(VIRTIO_F_RING_RESET)) throw new TypeError('RING_RESET was not negotiated');",
      to: '',
    },
    {
      name: 'resets all queues when one is to be',
      cases: ['V50'],
      from: 'this.#queues[index] = undefined;',
      to: 'this.#queues.length = 0;',
    },
    {
      name: 'is suspended without the feature',
      cases: ['V52'],
      from: 'if (!this.#accepted.has(VIRTIO_F_SUSPEND) || !this.#isLive()) return;',
      to: '',
    },
    {
      name: 'works while it is suspended',
      cases: ['V52'],
      from: 'this.#status = (this.#status & ~DeviceStatus.DriverOk) | DeviceStatus.Suspend;',
      to: 'this.#status |= DeviceStatus.Suspend;',
    },
    {
      name: 'starts anew when it is resumed',
      cases: ['V52'],
      from: 'if (isSuspended) this.run();\n    else this.#guard',
      to: 'this.#guard',
    },
    {
      name: 'enables a queue that is longer than it has',
      cases: ['V29', 'D44'],
      from: 'if (addresses.size > this.maxQueueSize(index))',
      to: 'if (addresses.size > 32768)',
    },
    {
      name: 'enables a queue again',
      cases: ['V30'],
      from: 'if (this.#queues[index] !== undefined) throw',
      to: 'if (index < 0) throw',
    },
    {
      name: 'works before DRIVER_OK',
      cases: ['V31', 'D43'],
      from: "return this.#options.interface === 'legacy' || (this.#status & DeviceStatus.DriverOk) !== 0;",
      to: 'return true;',
    },
    {
      name: 'goes on with a queue that was reset from inside',
      cases: ['V51'],
      from: 'if (this.#queues[index] !== enabled) return isBusy;',
      to: '',
    },
    {
      name: 'keeps its queues over a reset',
      cases: ['V51', 'V52'],
      from: 'this.#queues.length = 0;',
      to: '',
    },
  ]),
  ...mutationsOf('core/src/queue/split/legacy-addresses.ts', [
    {
      name: 'cuts a page frame number to 32 bits',
      cases: ['M6'],
      from: 'if (!Number.isInteger(frame) || frame > 0xffff_ffff) {',
      to: 'if (!Number.isInteger(frame)) {',
    },
  ]),
  ...mutationsOf('session/src/device-session.ts', [
    {
      name: 'takes its memory back from a device that did not confirm its reset',
      cases: ['D45', 'M7'],
      from: "if (isCodedError(error) && error.code === 'ERR_DEVICE_LOST') return error;",
      to: 'if (isCodedError(error)) return error;',
    },
  ]),
  ...mutationsOf('session/src/queue-size.ts', [
    {
      name: 'asks for the size of a queue twice',
      cases: ['D44'],
      from: 'Math.min(wanted, most)',
      to: 'Math.min(wanted, transport.maxQueueSize(index))',
    },
    {
      name: 'believes the size of a legacy queue',
      cases: ['D44'],
      from: 'if (isLegacy && size !== most)',
      to: 'if (index < 0)',
    },
    {
      name: 'makes a queue as long as the device has',
      cases: ['D44'],
      from: 'Math.min(wanted, most)',
      to: 'most',
    },
    {
      name: 'uses a queue that the device does not have',
      cases: ['D44'],
      from: 'if (most === 0)',
      to: 'if (most < 0)',
    },
  ]),
];

/** Of what is around the rings: mappings, memory, devices and the driver's session. */
export const AROUND_THE_RING: readonly Mutation[] = [...mapping, ...device];
