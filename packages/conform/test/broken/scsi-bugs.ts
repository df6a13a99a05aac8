import { altered, config } from './register-bugs.ts';
import { crashingAt, handling, type FoundBug, type Handled } from './simple-bugs.ts';

const HEADER = 19;
const INQUIRY = 0x12;
const READ = 0x28;
const WRITE = 0x2a;
const REQUEST_BYTES = 51;
const RESPONSE_BYTES = 108;
/** Offsets in a response. */
const STATUS = 10;
const RESPONSE = 11;

const isRequest = ({ queue }: Handled): boolean => queue >= 2;
const command = (handled: Handled): number => (isRequest(handled) ? (handled.readable[HEADER] ?? -1) : -1);
/** The type and the subtype of a control request. */
const subtype = ({ queue, readable }: Handled): number => (queue === 0 && readable.length >= 8 ? readable[4]! : -1);

/** Answers a request with another byte at a place of the response. */
function answering(
  name: string,
  cases: readonly string[],
  at: number,
  byte: number,
  isSo: (handled: Handled) => boolean,
) {
  return handling(name, cases, (handled) => {
    const used = handled.handle();
    if (isSo(handled)) handled.write(at, [byte]);
    return used;
  });
}

/** Hostile requests at which a device crashes. */
function crashes(id: string, isSo: (handled: Handled) => boolean): FoundBug {
  return crashingAt(`scsi: ${id}`, [`scsi/hostile-${id}`], isSo);
}

const writable = (handled: Handled): readonly number[] => handled.lengths.slice(handled.chain.readable);

/** Bugs of a SCSI host. */
export const SCSI_BUGS: readonly FoundBug[] = [
  [config('has no request queue', (bytes) => bytes.fill(0, 0, 4)), ['scsi/num-queues']],
  [config('has targets up to 256', (bytes) => bytes.set([0, 1], 30)), ['scsi/max-target']],
  [config('has units up to 16384', (bytes) => bytes.set([0, 0x40], 32)), ['scsi/max-lun']],
  [config('has events of 8 bytes', (bytes) => (bytes[16] = 8)), ['scsi/event-size']],
  [config('has sense data of 95 bytes', (bytes) => (bytes[20] = 95)), ['scsi/sense-size']],
  [config('has commands of 16 bytes', (bytes) => (bytes[24] = 16)), ['scsi/cdb-size']],
  [
    {
      name: 'keeps its sizes over a reset',
      transport: altered((inner, device) => ({
        writeConfig: (offset, source) => {
          if (offset === 20) device.count = source[0]!;
          inner.writeConfig(offset, source);
        },
        readConfig: (offset, bytes) => {
          inner.readConfig(offset, bytes);
          if (offset === 20 && device.count > 0) bytes[0] = device.count;
        },
      })),
    },
    ['scsi/sizes-after-reset'],
  ],
  handling('is a printer', ['scsi/inquiry'], (handled) => {
    const used = handled.handle();
    if (command(handled) === INQUIRY) handled.write(RESPONSE_BYTES, [2]);
    return used;
  }),
  answering('is never ready', ['scsi/ready', 'scsi/reset-of-unit'], STATUS, 2, (handled) => command(handled) === 0),
  handling('writes nothing', ['scsi/write-read'], (handled) => {
    if (command(handled) !== WRITE) return handled.handle();
    return handled.write(
      0,
      Array.from({ length: RESPONSE_BYTES }, () => 0),
    );
  }),
  answering(
    'wants a request in one descriptor',
    ['scsi/request-in-two'],
    RESPONSE,
    9,
    ({ lengths }) => lengths[0] === 8,
  ),
  answering(
    'wants command and header together',
    ['scsi/command-apart'],
    RESPONSE,
    9,
    ({ lengths }) => lengths[0] === HEADER,
  ),
  answering('wants whole blocks in each descriptor', ['scsi/data-out-in-odd-lengths'], RESPONSE, 9, (handled) => {
    const { lengths } = handled;
    return lengths[0] === REQUEST_BYTES && lengths[1] === 5;
  }),
  answering('writes data to one descriptor', ['scsi/data-in-odd-lengths'], RESPONSE, 9, (handled) => {
    const [first, second] = writable(handled);
    return first === RESPONSE_BYTES && second === 3;
  }),
  answering('wants data apart from the response', ['scsi/data-with-response'], RESPONSE, 9, (handled) => {
    const [first, ...rest] = writable(handled);
    return isRequest(handled) && first! > RESPONSE_BYTES && rest.length === 0;
  }),
  answering('wants data apart from the request', ['scsi/data-with-request'], RESPONSE, 9, (handled) => {
    const { chain } = handled;
    return isRequest(handled) && chain.readable === 1 && chain.readableBytes > REQUEST_BYTES;
  }),
  handling('writes a response to one descriptor', ['scsi/response-in-two'], (handled) => {
    const used = handled.handle();
    if (writable(handled)[0] === 10) handled.write(RESPONSE, [9]);
    return used;
  }),
  handling('writes a response to at most 4 descriptors', ['scsi/response-in-odd-lengths'], (handled) => {
    const used = handled.handle();
    if (writable(handled)[0] === 1) handled.write(RESPONSE, [9]);
    return used;
  }),
  handling('counts what it read in the used length', ['scsi/used-length-of-write'], (handled) => {
    const used = handled.handle();
    return command(handled) === WRITE ? used + 512 : used;
  }),
  answering(
    'does commands that there are not',
    ['scsi/unknown-command'],
    STATUS,
    0,
    (handled) => command(handled) === 0xff && handled.readable[HEADER + 1] === 0,
  ),
  answering(
    'has every target',
    ['scsi/bad-target'],
    RESPONSE,
    0,
    (handled) => isRequest(handled) && handled.readable[1] === 200,
  ),
  answering(
    'says no overrun',
    ['scsi/overrun'],
    RESPONSE,
    0,
    (handled) =>
      command(handled) === READ &&
      handled.chain.writableBytes === RESPONSE_BYTES + 512 &&
      handled.readable[HEADER + 8] === 4,
  ),
  answering(
    'wants just as much room as it needs',
    ['scsi/more-room'],
    RESPONSE,
    1,
    (handled) => command(handled) === READ && handled.chain.writableBytes === RESPONSE_BYTES + 2048,
  ),
  answering(
    'reads past the end',
    ['scsi/past-end'],
    STATUS,
    0,
    (handled) => command(handled) === READ && handled.readable[HEADER + 2] === 0x7f,
  ),
  answering('has no REQUEST SENSE', ['scsi/request-sense'], STATUS, 2, (handled) => command(handled) === 3),
  answering('fails to abort', ['scsi/abort-of-nothing'], 0, 9, (handled) => subtype(handled) === 0),
  answering('fails to reset a unit', ['scsi/reset-of-unit'], 0, 9, (handled) => subtype(handled) === 5),
  answering('does functions that there are not', ['scsi/unknown-function'], 0, 0, (handled) => subtype(handled) === 99),
  answering(
    'has every unit',
    ['scsi/function-of-no-unit'],
    0,
    0,
    (handled) => handled.queue === 0 && handled.readable[11] === 77,
  ),
  answering(
    'fails queries of notifications',
    ['scsi/notifications'],
    4,
    9,
    (handled) => handled.queue === 0 && handled.readable[0] === 1,
  ),
  ...[1, 18, 50].map((bytes) =>
    crashes(`request-of-${bytes}`, (handled) => isRequest(handled) && handled.chain.readableBytes === bytes),
  ),
  ...[0, 1, 107].map((bytes) =>
    crashes(`response-of-${bytes}`, (handled) => isRequest(handled) && handled.chain.writableBytes === bytes),
  ),
  crashes('nothing-to-read', (handled) => isRequest(handled) && handled.chain.readable === 0),
  crashes('wrong-unit', (handled) => isRequest(handled) && handled.readable[4] === 255),
  crashes(
    'long-transfer',
    (handled) =>
      command(handled) === READ && handled.readable[HEADER + 7] === 0xff && handled.chain.writableBytes > 600,
  ),
  crashes('unmap-without-list', (handled) => command(handled) === 0x42),
  crashes('same-tag', (handled) => isRequest(handled) && handled.device.rings[2]!.taken > 6),
  crashes('command-of-ones', (handled) => command(handled) === 0xff && handled.readable[HEADER + 1] === 0xff),
  ...[1, 8, 23].map((bytes) =>
    crashes(`function-of-${bytes}`, ({ queue, chain }) => queue === 0 && chain.readableBytes === bytes),
  ),
  crashes('function-without-answer', ({ queue, chain }) => queue === 0 && chain.writableBytes === 0),
  crashes('unknown-control', ({ queue, readable }) => queue === 0 && readable[0] === 9),
];

/** The event queue is looked at only where there is an event: a device that looks when it is kicked. */
export const SCSI_EVENT_BUGS: readonly FoundBug[] = (['short', 'readable'] as const).map((name): FoundBug => [
  {
    name: `crashes at a ${name} event buffer`,
    transport: altered((inner, device) => ({
      notify: (queue, next) => {
        const ring = device.rings[1];
        if (queue === 1 && ring !== undefined) {
          const at = ring.descriptors;
          const length = ring.memory.u32[at / 4 + 2]!;
          if ((length === 1) === (name === 'short')) device.crash();
        }
        inner.notify(queue, next);
      },
    })),
  },
  [`scsi/hostile-${name}-event`],
]);
