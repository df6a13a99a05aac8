import {
  BOTH_LAYOUTS,
  caseGroup,
  type Clause,
  type ConformBench,
  type ConformCase,
  type ConformRing,
  type DeviceCases,
  feedRing,
  type Framing,
  type GoodRequest,
  offersFeature,
} from '@virtio-platform/core';
import { CONSOLE_CONFIG } from '../console-config.ts';
import { CONSOLE_FEATURES, VIRTIO_CONSOLE_F_EMERG_WRITE, VIRTIO_CONSOLE_F_MULTIPORT } from '../console-features.ts';
import { controlMessage } from '../control-message.ts';
import * as wire from '../layout.ts';
import { ConsoleLine, LINE_BYTES, type HeardMessage, type LineOptions } from './console-line.ts';

const OPERATION = '5.3.6';
const MULTIPORT = '5.3.6.2';
const MULTIPORT_NORMATIVE = '5.3.6.2.1';
const hasMultiport = offersFeature(VIRTIO_CONSOLE_F_MULTIPORT, CONSOLE_FEATURES);
const NO_PORT = 0xffff_fffe;

const text = (bytes: number, seed = 0): Uint8Array =>
  Uint8Array.from({ length: bytes }, (_, i) => 33 + ((i * 7 + seed) % 90));

interface LineTemplate extends Omit<ConformCase, 'run' | 'level' | 'needs'> {
  readonly start?: LineOptions;
  readonly isLooped?: boolean;
  readonly run: (line: ConsoleLine) => void | Promise<void>;
}

/** A case on a console that was started. */
function lineCase({ start = {}, isLooped = true, run, ...rest }: LineTemplate): ConformCase {
  return {
    level: 'MUST',
    needs: start.isMultiport === true ? [hasMultiport] : [],
    ...rest,
    run: async (bench) => {
      if (isLooped) ConsoleLine.needLoop(bench);
      await run(await ConsoleLine.start(bench, start));
    },
  };
}
const lineCases = caseGroup(lineCase);

/** Bytes that are sent in one framing, or received in one. */
function framingCase(
  id: string,
  title: string,
  sent: Framing,
  received: readonly number[] = [LINE_BYTES],
): ConformCase {
  return lineCase({
    id: `console/${id}`,
    clause: OPERATION,
    title,
    layouts: BOTH_LAYOUTS,
    start: { size: 128, buffers: 0 },
    run: async (line) => {
      for (let seed = 0; seed < 3; seed++) {
        for (let i = 0; i < 8; i++) line.supply(received);
        const bytes = text(40, seed);
        await line.send(bytes, sent);
        await line.expect(bytes);
      }
    },
  });
}

function controlCase(
  id: string,
  title: string,
  run: (line: ConsoleLine) => Promise<void>,
  clause = MULTIPORT,
): ConformCase {
  return lineCase({
    id: `console/${id}`,
    clause,
    title,
    layouts: BOTH_LAYOUTS,
    isLooped: false,
    start: { isMultiport: true, size: 32 },
    run,
  });
}

function hostileCase(
  id: string,
  title: string,
  isMultiport: boolean,
  misuse: (line: ConsoleLine) => void,
): ConformCase {
  return lineCase({
    id: `console/hostile-${id}`,
    clause: isMultiport ? MULTIPORT : OPERATION,
    title: `survives ${title}`,
    layouts: BOTH_LAYOUTS,
    isHostile: true,
    isLooped: false,
    start: { isMultiport, size: 32 },
    run: async (line) => {
      if (isMultiport) await line.say(0, wire.VIRTIO_CONSOLE_DEVICE_READY, 1);
      misuse(line);
      await line.bench.settle();
    },
  });
}

/** The ports that are announced once the driver is ready. */
async function announced(line: ConsoleLine): Promise<readonly HeardMessage[]> {
  await line.say(0, wire.VIRTIO_CONSOLE_DEVICE_READY, 1);
  return (await line.hear()).filter(({ event }) => event === wire.VIRTIO_CONSOLE_DEVICE_ADD);
}

function mostPorts({ transport }: ConformBench): number {
  const bytes = new Uint8Array(CONSOLE_CONFIG.max_nr_ports.width);
  transport.readConfig(CONSOLE_CONFIG.max_nr_ports.offset, bytes);
  return new DataView(bytes.buffer).getUint32(0, true);
}

const CASES: readonly ConformCase[] = [
  framingCase('whole', 'gives back what it is sent', {}),
  framingCase('sent-in-odd-lengths', 'takes bytes in descriptors of odd lengths', { readable: [1, 7, 3] }),
  framingCase('sent-in-single-bytes', 'takes bytes in descriptors of one byte each', {
    readable: Array.from({ length: 39 }, () => 1),
  }),
  framingCase('received-in-odd-lengths', 'writes into descriptors of odd lengths', {}, [1, 5, 11, LINE_BYTES]),
  framingCase('received-in-short-buffers', 'spreads bytes over buffers of 8 bytes', {}, [8]),
  framingCase('received-in-buffers-of-a-byte', 'spreads bytes over buffers of a byte', {}, [1]),
  ...lineCases({ clause: OPERATION, layouts: BOTH_LAYOUTS }, [
    {
      id: 'console/many-messages',
      title: 'keeps the order of 100 messages over a ring of 8',
      start: { size: 8 },
      run: async (line) => {
        for (let n = 0; n < 100; n++) {
          const bytes = text(1 + (n % 30), n);
          await line.send(bytes);
          await line.expect(bytes);
        }
      },
    },
    {
      id: 'console/long-message',
      title: 'takes a message of 4000 bytes',
      start: { size: 32, buffers: 20 },
      run: async (line) => {
        await line.send(text(4000));
        await line.expect(text(4000));
      },
    },
  ]),
  {
    id: 'console/emergency-before-start',
    clause: '5.3.5.1',
    level: 'MUST',
    title: 'takes emergency characters before it is configured, and serves afterwards',
    needs: [offersFeature(VIRTIO_CONSOLE_F_EMERG_WRITE, CONSOLE_FEATURES)],
    run: async (bench) => {
      await bench.reset();
      for (const character of [0x21, 0x0a]) {
        bench.transport.writeConfig(CONSOLE_CONFIG.emerg_wr.offset, Uint8Array.of(character, 0, 0, 0));
        bench.check(!bench.asksForReset(), 'it asks for a reset after an emergency character');
      }
      await bench.start();
      await bench.serve(bench.layOut(0));
    },
  },
  {
    id: 'console/most-ports',
    clause: '5.3.4',
    level: 'MUST',
    title: 'says at least one port, and has the queues of those that it says',
    needs: [hasMultiport],
    run: async (bench) => {
      await bench.start();
      const ports = mostPorts(bench);
      bench.check(ports >= 1, 'max_nr_ports is 0');
      const queues = 2 * ports + 2;
      bench.check(bench.device.queueCount >= queues, `it has ${bench.device.queueCount} queues, and needs ${queues}`);
    },
  },
  controlCase(
    'ports-announced',
    'announces each of its ports once, below max_nr_ports',
    async (line) => {
      const ports = (await announced(line)).map(({ port }) => port);
      line.bench.check(ports.length > 0, 'no port is announced');
      line.bench.equal('the number of ports that differ', new Set(ports).size, ports.length);
      const most = mostPorts(line.bench);
      for (const port of ports) line.bench.check(port < most, `port ${port} of ${most} is announced`);
    },
    MULTIPORT_NORMATIVE,
  ),
  controlCase(
    'ports-announced-once',
    'announces no port again where the driver says again that it is ready',
    async (line) => {
      await announced(line);
      const again = await announced(line);
      line.bench.equal('the ports that are announced again', again.map(({ port }) => port).join(), '');
    },
    MULTIPORT_NORMATIVE,
  ),
  controlCase(
    'port-opened',
    'opens a port, or says that it is a console, once the driver is ready for it',
    async (line) => {
      const ports = await announced(line);
      line.bench.check(ports.length > 0, 'no port is announced');
      const first = ports[0]!;
      await line.say(first.port, wire.VIRTIO_CONSOLE_PORT_READY, 1);
      const heard = (await line.hear()).filter(({ port }) => port === first.port);
      const isTold = heard.some(
        ({ event }) => event === wire.VIRTIO_CONSOLE_PORT_OPEN || event === wire.VIRTIO_CONSOLE_CONSOLE_PORT,
      );
      line.bench.check(isTold, `nothing was said of port ${first.port}`);
    },
  ),
  {
    ...controlCase('second-port', 'gives back on its second port what is sent there', async (line) => {
      const ports = (await announced(line)).map(({ port }) => port);
      if (!ports.includes(1)) line.bench.skip('it has no port 1');
      await line.say(1, wire.VIRTIO_CONSOLE_PORT_READY, 1);
      await line.say(1, wire.VIRTIO_CONSOLE_PORT_OPEN, 1);
      await line.hear();
      const queue = wire.consoleReceiveQueue(1);
      for (let i = 0; i < 4; i++) line.supply([LINE_BYTES], queue);
      for (let seed = 0; seed < 3; seed++) {
        await line.send(text(30, seed), {}, queue + 1);
        await line.expect(text(30, seed), queue);
      }
    }),
  },
  controlCase('unknown-port', 'goes on after messages of ports that there are not', async (line) => {
    await line.say(NO_PORT, wire.VIRTIO_CONSOLE_PORT_READY, 0);
    line.bench.check((await announced(line)).length > 0, 'no port is announced any more');
  }),
  hostileCase('writable', 'a transmit buffer that is writable', false, (line) => {
    const buffer = line.bench.allocate('a writable transmit buffer', 64, 64);
    line.bench.ring(1).give([{ buffer, isWritable: true }]);
  }),
  hostileCase('readable', 'receive buffers that are readable', false, (line) => {
    line.bench.ring(0).give([{ buffer: line.bench.allocate('a readable receive buffer', 64) }]);
    for (let i = 0; i < 10; i++) line.give(text(200));
  }),
  hostileCase('of-256-kib', 'a message of 256 KiB', false, (line) => line.give(new Uint8Array(0x4_0000).fill(0x41))),
  ...[1, 7, 9].map((bytes) =>
    hostileCase(`control-of-${bytes}`, `a control message of ${bytes} bytes`, true, (line) =>
      line.give(new Uint8Array(bytes), wire.CONSOLE_CONTROL_TRANSMIT),
    ),
  ),
  hostileCase('unknown-event', 'an event that there is not', true, (line) =>
    line.give(controlMessage(true, 0, 0x7777, 1), wire.CONSOLE_CONTROL_TRANSMIT),
  ),
  hostileCase('open-of-no-port', 'the opening of a port that there is not', true, (line) =>
    line.give(controlMessage(true, NO_PORT, wire.VIRTIO_CONSOLE_PORT_OPEN, 1), wire.CONSOLE_CONTROL_TRANSMIT),
  ),
  hostileCase('opened-by-7', 'a port that is opened by the value 7', true, (line) =>
    line.give(controlMessage(true, 0, wire.VIRTIO_CONSOLE_PORT_OPEN, 7), wire.CONSOLE_CONTROL_TRANSMIT),
  ),
  hostileCase('event-of-the-device', 'an event that the device has to send', true, (line) =>
    line.give(controlMessage(true, 0, wire.VIRTIO_CONSOLE_DEVICE_ADD, 1), wire.CONSOLE_CONTROL_TRANSMIT),
  ),
  hostileCase('driver-failed', 'a driver that is not ready', true, (line) =>
    line.give(controlMessage(true, 0, wire.VIRTIO_CONSOLE_DEVICE_READY, 0), wire.CONSOLE_CONTROL_TRANSMIT),
  ),
  hostileCase('opened-often', 'a port that opens and closes 12 times', true, (line) => {
    for (let i = 0; i < 12; i++)
      line.give(controlMessage(true, 0, wire.VIRTIO_CONSOLE_PORT_OPEN, i % 2), wire.CONSOLE_CONTROL_TRANSMIT);
  }),
  hostileCase('writable-control', 'a control message that is writable', true, (line) => {
    const buffer = line.bench.allocate('a writable control message', 8, 64);
    line.bench.ring(wire.CONSOLE_CONTROL_TRANSMIT).give([{ buffer, isWritable: true }]);
  }),
  hostileCase('short-control-buffer', 'buffers of 4 bytes for control messages', true, (line) => {
    for (let i = 0; i < 4; i++) line.supply([4], wire.CONSOLE_CONTROL_RECEIVE);
    for (let i = 0; i < 6; i++)
      line.give(controlMessage(true, 0, wire.VIRTIO_CONSOLE_PORT_READY, 1), wire.CONSOLE_CONTROL_TRANSMIT);
  }),
];

/** What is still to be said on a control queue. */
const UNSAID = new WeakMap<ConformRing, Uint8Array[]>();

/** Takes what comes, and with MULTIPORT opens every port. */
function attend(bench: ConformBench): void {
  feedRing(bench, 0, LINE_BYTES);
  if (!bench.enabled.includes(wire.CONSOLE_CONTROL_TRANSMIT)) return;
  const ring = bench.ring(wire.CONSOLE_CONTROL_TRANSMIT);
  const unsaid = UNSAID.get(ring) ?? [controlMessage(true, 0, wire.VIRTIO_CONSOLE_DEVICE_READY, 1)];
  UNSAID.set(ring, unsaid);
  feedRing(bench, wire.CONSOLE_CONTROL_RECEIVE, LINE_BYTES, (message) => {
    if (message.length < 8) return;
    const view = new DataView(message.buffer, message.byteOffset);
    const [port, event] = [view.getUint32(0, true), view.getUint16(4, true)];
    if (event !== wire.VIRTIO_CONSOLE_DEVICE_ADD) return;
    unsaid.push(controlMessage(true, port, wire.VIRTIO_CONSOLE_PORT_READY, 1));
    unsaid.push(controlMessage(true, port, wire.VIRTIO_CONSOLE_PORT_OPEN, 1));
  });
  while (ring.take() !== undefined);
  while (unsaid.length > 0 && ring.outstanding < ring.size) {
    const bytes = unsaid.shift()!;
    const buffer = bench.allocate('a control message', bytes.length);
    buffer.write(bytes);
    ring.wantNotifications(false);
    ring.give([{ buffer }]);
  }
}

function transmission(n: number): GoodRequest {
  return { queue: 1, readable: text(32 + 8 * (n % 4), n), writable: 0, check: () => undefined };
}

const CLAUSES: readonly Clause[] = [
  { section: '5.3.4', level: 'text', requires: 'max_nr_ports, and queues for as many ports' },
  { section: '5.3.5.1', level: 'MUST', requires: 'emergency characters, also before it is configured' },
  { section: OPERATION, level: 'text', requires: 'bytes both ways, of any framing' },
  { section: MULTIPORT, level: 'text', requires: 'control messages, and ports that open' },
  { section: MULTIPORT_NORMATIVE, level: 'MUST', requires: 'each port announced once, below max_nr_ports' },
];

/** The cases of a console (specification 1.4 section 5.3). Those that see bytes again need ports that echo. */
export const CONSOLE_CASES: DeviceCases = {
  clauses: CLAUSES,
  queues: ({ accepted }) =>
    accepted.has(VIRTIO_CONSOLE_F_MULTIPORT)
      ? [1, 0, wire.CONSOLE_CONTROL_RECEIVE, wire.CONSOLE_CONTROL_TRANSMIT]
      : [1, 0],
  open: async (bench) => {
    await ConsoleLine.findLoop(bench);
    return transmission;
  },
  unprepared: transmission,
  attend,
  cases: CASES,
};
