import { altered, config } from './register-bugs.ts';
import { crashingAt, handling, ignoringBuffers, type FoundBug, type Handled } from './simple-bugs.ts';

const CONTROL = 3;
/** Events of control messages. */
const ADD = 1;
const OPEN = 6;
const READY = 3;

const u16 = (bytes: Uint8Array, at: number): number => (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8);
const isData = ({ queue }: Handled): boolean => queue === 1;
const event = ({ queue, readable }: Handled): number =>
  queue === CONTROL && readable.length === 8 ? u16(readable, 4) : -1;

function crashes(id: string, isSo: (handled: Handled) => boolean): FoundBug {
  return crashingAt(`console: ${id}`, [`console/hostile-${id}`], isSo);
}

/** Changes the first byte of some receive buffers. */
function corrupting(name: string, cases: readonly string[], isSo: (handled: Handled) => boolean): FoundBug {
  return handling(name, cases, (handled) => {
    const used = handled.handle();
    if (handled.queue === 0 && used > 0 && isSo(handled)) handled.write(0, [1]);
    return used;
  });
}

/** Changes control messages of the device. */
function saying(
  name: string,
  cases: readonly string[],
  at: number,
  byte: number,
  isSo: (event: number) => boolean,
): FoundBug {
  return handling(name, cases, (handled) => {
    const used = handled.handle();
    const { device, chain } = handled;
    if (handled.queue !== 2 || used < 8) return used;
    const said = u16(device.memory!.u8.subarray(chain.low[0]), 4);
    if (isSo(said)) handled.write(at, [byte]);
    return used;
  });
}

/** Bugs of a console. */
export const CONSOLE_BUGS: readonly FoundBug[] = [
  ignoringBuffers(
    'loses what is in one descriptor',
    ['console/whole'],
    (handled) => isData(handled) && handled.lengths.length === 1 && handled.readable.length === 40,
  ),
  ignoringBuffers(
    'loses what is in odd descriptors',
    ['console/sent-in-odd-lengths'],
    (handled) => isData(handled) && handled.lengths.length === 4 && handled.lengths[1] === 7,
  ),
  ignoringBuffers(
    'takes at most 32 descriptors',
    ['console/sent-in-single-bytes'],
    (handled) => isData(handled) && handled.lengths.length > 32,
  ),
  corrupting(
    'writes into one descriptor only',
    ['console/received-in-odd-lengths'],
    ({ lengths }) => lengths.length > 1,
  ),
  corrupting('wants buffers of 9 bytes', ['console/received-in-short-buffers'], ({ lengths }) => lengths[0] === 8),
  corrupting(
    'wants buffers of 2 bytes',
    ['console/received-in-buffers-of-a-byte'],
    ({ chain }) => chain.writableBytes === 1,
  ),
  ignoringBuffers(
    'takes 80 messages',
    ['console/many-messages'],
    (handled) => isData(handled) && handled.device.rings[1]!.taken > 80,
  ),
  ignoringBuffers('takes 2000 bytes', ['console/long-message'], ({ readable }) => readable.length > 2000),
  [
    {
      name: 'asks for a reset where it gets an emergency character too early',
      transport: altered((inner, device) => ({
        writeConfig: (offset, source) => {
          if (offset === 8 && (inner.readStatus() & 4) === 0) device.count = 1;
          inner.writeConfig(offset, source);
        },
        readStatus: () => inner.readStatus() | (device.count === 1 ? 0x40 : 0),
      })),
    },
    ['console/emergency-before-start'],
  ],
  [config('has more ports than queues', (bytes) => (bytes[4] = 30)), ['console/most-ports']],
  saying('announces port 0 for each', ['console/ports-announced'], 0, 0, (said) => said === ADD),
  [
    {
      name: 'announces its ports again',
      model: (inner, device) => ({
        process: (queue, chain, space, queues) => {
          // The device announces its ports again at each DEVICE_READY message of the driver.
          const low = chain.low[0]!;
          const isReady = queue === CONTROL && space.memory.u8[low + 4] === 0 && space.memory.u8[low + 6] === 1;
          if (isReady && device.rings[CONTROL]!.taken > 1) inner.start(device.accepted!);
          return inner.process(queue, chain, space, queues);
        },
      }),
    },
    ['console/ports-announced-once'],
  ],
  ignoringBuffers(
    'opens no port',
    ['console/port-opened', 'console/second-port'],
    (handled) => event(handled) === READY || event(handled) === OPEN,
  ),
  handling('hangs after messages of ports that there are not', ['console/unknown-port'], (handled) => {
    if (event(handled) === READY && handled.readable[0] === 0xfe) handled.device.wedge();
    return handled.handle();
  }),
  crashes('writable', (handled) => isData(handled) && handled.chain.readable === 0),
  crashes('readable', ({ queue, chain }) => queue === 0 && chain.writableBytes === 0),
  crashes('of-256-kib', (handled) => isData(handled) && handled.chain.readableBytes === 0x4_0000),
  ...[1, 7, 9].map((bytes) =>
    crashes(`control-of-${bytes}`, ({ queue, chain }) => queue === CONTROL && chain.readableBytes === bytes),
  ),
  crashes('unknown-event', (handled) => event(handled) === 0x7777),
  crashes('open-of-no-port', (handled) => event(handled) === OPEN && handled.readable[0] === 0xfe),
  crashes('opened-by-7', (handled) => event(handled) === OPEN && handled.readable[6] === 7),
  crashes('event-of-the-device', (handled) => event(handled) === ADD),
  crashes('driver-failed', (handled) => event(handled) === 0 && handled.readable[6] === 0),
  crashes('opened-often', (handled) => event(handled) === OPEN && handled.device.rings[CONTROL]!.taken > 10),
  crashes('writable-control', ({ queue, chain }) => queue === CONTROL && chain.readable === 0),
  crashes('short-control-buffer', ({ queue, chain }) => queue === 2 && chain.writableBytes === 4),
];
