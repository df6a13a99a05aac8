/**
 * A vhost-user back-end whose bugs are switched on by a script: `scripted-back-end.ts SOCKET SCRIPT`, with a
 * {@link Script} as JSON. It serves one front-end, split rings only, and writes each message to the log of the script.
 */
import { appendFileSync, closeSync, readSync, writeSync } from 'node:fs';
import { createRequire } from 'node:module';
import { MemoryMapping, PollEvents, PollSet } from '@virtio-platform/host';
import { PeerSocket } from './peer-socket.ts';
import type { Script } from './script.ts';

const koffi: typeof import('koffi') = createRequire(import.meta.url)('koffi');
const fcntl = koffi.load(null).func('int fcntl(int fd, int command, int argument)');
const F_GETFL = 3;
const F_SETFL = 4;
const O_NONBLOCK = 0x800;

const NAMES: Readonly<Record<number, string>> = {
  1: 'GET_FEATURES',
  2: 'SET_FEATURES',
  3: 'SET_OWNER',
  5: 'SET_MEM_TABLE',
  8: 'SET_VRING_NUM',
  9: 'SET_VRING_ADDR',
  10: 'SET_VRING_BASE',
  11: 'GET_VRING_BASE',
  12: 'SET_VRING_KICK',
  13: 'SET_VRING_CALL',
  15: 'GET_PROTOCOL_FEATURES',
  16: 'SET_PROTOCOL_FEATURES',
  17: 'GET_QUEUE_NUM',
  18: 'SET_VRING_ENABLE',
  21: 'SET_BACKEND_REQ_FD',
  24: 'GET_CONFIG',
  25: 'SET_CONFIG',
  31: 'GET_INFLIGHT_FD',
  32: 'SET_INFLIGHT_FD',
  36: 'GET_MAX_MEM_SLOTS',
};
const BLOCK_IN = 0;
const BLOCK_OUT = 1;

class Queue {
  size = 0;
  next = 0;
  isEnabled = false;
  kick = -1;
  call = -1;
  descriptors = 0;
  available = 0;
  used = 0;
}

const [path, text] = process.argv.slice(2);
// The test wrote it.
// oxlint-disable-next-line typescript/no-unsafe-type-assertion
const script = JSON.parse(text!) as Script;
const queues = Array.from({ length: 512 }, () => new Queue());
const disk = new Uint8Array(1 << 20);
let memory = new DataView(new ArrayBuffer(0));
let userAddress = 0n;
let backChannel: PeerSocket | undefined;
let configByte = 0;
let returned = 0;

const peer = PeerSocket.accept(path!);
const log = (line: string): void => appendFileSync(script.log, `${line}\n`);
const u64 = (value: bigint): Uint8Array => new Uint8Array(BigUint64Array.of(value).buffer);
const sleep = (ms: number): void => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);

for (;;) {
  const kicked = queues.filter(({ kick, isEnabled }) => kick >= 0 && isEnabled);
  const poll = new PollSet(1 + kicked.length);
  poll.set(0, peer.descriptor, PollEvents.Readable);
  kicked.forEach(({ kick }, i) => poll.set(1 + i, kick, PollEvents.Readable));
  poll.wait(10_000);
  const isMessage = poll.events(0) !== 0;
  const ready = kicked.filter((_, i) => (poll.events(1 + i) & PollEvents.Readable) !== 0);
  poll.dispose();
  for (const queue of ready) work(queue);
  if (isMessage && !serve()) break;
}

/** Serves one message. Returns false at the end of the connection. */
function serve(): boolean {
  const descriptors: number[] = [];
  const header = peer.receive(12, descriptors);
  if (header === undefined) return false;
  const [request, flags, size] = [header.getUint32(0, true), header.getUint32(4, true), header.getUint32(8, true)];
  const payload = size === 0 ? new DataView(new ArrayBuffer(0)) : peer.receive(size)!;
  const name = NAMES[request] ?? `request ${request}`;
  const index = size >= 4 ? payload.getUint32(0, true) : 0;
  log(`${name}${name.includes('VRING') ? ` ${index}` : ''}`);
  if (script.exitAt === name) process.exit(3);
  if (script.hangAt === name) sleep(60_000);
  sleep(script.delayMs ?? 0);
  const answer = execute(name, index, payload, descriptors);
  const isReply = answer !== undefined;
  if (!isReply && (flags & 8) === 0) return true;
  const sent = script.answers?.[name];
  const bytes = sent === undefined ? (answer ?? u64(0n)) : Uint8Array.from(Buffer.from(sent, 'hex'));
  peer.sendMessage(request, 5, bytes, script.attachesTo === name ? [peer.descriptor] : []);
  if (script.exitAfter === name) process.exit(0);
  return true;
}

/** Does what a message says, and returns the payload of its own answer, if it has one. */
function execute(name: string, index: number, payload: DataView, descriptors: number[]): Uint8Array | undefined {
  const queue = queues[index & 0xff]!;
  switch (name) {
    case 'GET_FEATURES':
      return u64(BigInt(script.features));
    case 'GET_PROTOCOL_FEATURES':
      return u64(BigInt(script.protocolFeatures));
    case 'GET_QUEUE_NUM':
      return u64(BigInt(script.queues ?? 1));
    case 'GET_INFLIGHT_FD':
      return new Uint8Array(payload.buffer);
    case 'GET_MAX_MEM_SLOTS':
      return u64(32n);
    case 'SET_MEM_TABLE': {
      const length = Number(payload.getBigUint64(16, true));
      userAddress = payload.getBigUint64(24, true);
      memory = new DataView(MemoryMapping.ofFile(descriptors[0]!, length).buffer);
      return undefined;
    }
    case 'SET_BACKEND_REQ_FD':
      backChannel = new PeerSocket(descriptors[0]!);
      return undefined;
    case 'GET_CONFIG': {
      const length = payload.getUint32(4, true);
      const answer = new Uint8Array(payload.buffer.slice(0, 12 + length));
      const config = new DataView(answer.buffer, 12);
      if (length >= 8) config.setBigUint64(0, BigInt(disk.length / 512), true);
      if (length > 8) config.setUint8(8, configByte);
      if (length >= 36) config.setUint16(34, script.queues ?? 1, true);
      return answer;
    }
    case 'SET_VRING_NUM':
      queue.size = payload.getUint32(4, true);
      return undefined;
    case 'SET_VRING_BASE':
      queue.next = payload.getUint32(4, true);
      return undefined;
    case 'SET_VRING_ADDR':
      [queue.descriptors, queue.used, queue.available] = [8, 16, 24].map((at) => offsetOf(payload, at)) as [
        number,
        number,
        number,
      ];
      return undefined;
    case 'SET_VRING_KICK':
      if (queue.kick >= 0) closeSync(queue.kick);
      queue.kick = descriptors[0]!;
      return undefined;
    case 'SET_VRING_CALL':
      if (queue.call >= 0) closeSync(queue.call);
      queue.call = descriptors[0]!;
      if (script.clearsNonBlock === true) clearNonBlock(queue);
      return undefined;
    case 'SET_VRING_ENABLE':
      // A back-end that builds all queues when it is enabled has to know all of them by then.
      if (script.needs?.some((other) => queues[other]!.call < 0) === true) process.exit(4);
      queue.isEnabled = payload.getUint32(4, true) === 1;
      if (script.closesKick === true) closeSync(queue.kick);
      if (script.closesKick === true) queue.kick = -1;
      return undefined;
    case 'GET_VRING_BASE': {
      queue.isEnabled = false;
      return new Uint8Array(Uint32Array.of(index, script.base ?? queue.next).buffer);
    }
    default:
      return undefined;
  }
}

/** The flags belong to the description, which the front-end has too. */
function clearNonBlock({ kick, call }: Queue): void {
  for (const descriptor of [kick, call]) {
    const flags: number = fcntl(descriptor, F_GETFL, 0);
    fcntl(descriptor, F_SETFL, flags & ~O_NONBLOCK);
  }
}

function offsetOf(payload: DataView, at: number): number {
  return Number(payload.getBigUint64(at, true) - userAddress);
}

/** Returns every buffer that is available. */
function work(queue: Queue): void {
  const bytes = Buffer.alloc(4096);
  if (script.neverReads !== true) readSync(queue.kick, bytes);
  else sleep(5);
  while (queue.next !== memory.getUint16(queue.available + 2, true) && returned < (script.returns ?? Infinity)) {
    returned++;
    const head = memory.getUint16(queue.available + 4 + 2 * (queue.next % queue.size), true);
    const written = request(queue, head);
    const used = memory.getUint16(queue.used + 2, true);
    memory.setUint32(queue.used + 4 + 8 * (used % queue.size), head, true);
    memory.setUint32(queue.used + 8 + 8 * (used % queue.size), written, true);
    memory.setUint16(queue.used + 2, (used + 1) & 0xffff, true);
    queue.next = (queue.next + 1) & 0xffff;
    if (script.steals === true) steal(queue.call);
    else if (script.neverCalls !== true) writeSync(queue.call, u64(1n));
    if (script.changesConfig !== undefined) changeConfig(script.changesConfig);
  }
}

/** Notifies, and takes the notification back. */
function steal(call: number): void {
  writeSync(call, u64(1n));
  readSync(call, Buffer.alloc(8));
}

function changeConfig(flags: number): void {
  configByte++;
  if (backChannel === undefined) return log('no back channel');
  backChannel.sendMessage(2, flags, new Uint8Array(0));
  if ((flags & 8) === 0) return;
  const header = backChannel.receive(20);
  log(`CONFIG_CHANGE_MSG answered ${header?.getUint32(0, true)} ${header?.getBigUint64(12, true)}`);
}

/** Works on one buffer. Returns how many bytes were written. */
function request(queue: Queue, head: number): number {
  const segments: { at: number; length: number; isWritable: boolean }[] = [];
  for (let id = head; ;) {
    const at = queue.descriptors + 16 * id;
    const flags = memory.getUint16(at + 12, true);
    const length = memory.getUint32(at + 8, true);
    segments.push({ at: Number(memory.getBigUint64(at, true)), length, isWritable: (flags & 2) !== 0 });
    if ((flags & 1) === 0) break;
    id = memory.getUint16(at + 14, true);
  }
  const guest = new Uint8Array(memory.buffer);
  const written = segments.reduce((sum, { isWritable, length }) => sum + (isWritable ? length : 0), 0);
  if (script.type !== 'block') {
    for (const { at, length, isWritable } of segments) if (isWritable) guest.fill(0x5a, at, at + length);
    return written;
  }
  const [header, ...rest] = segments;
  const kind = memory.getUint32(header!.at, true);
  let place = Number(memory.getBigUint64(header!.at + 8, true)) * 512;
  for (const { at, length } of rest.slice(0, -1)) {
    if (kind === BLOCK_IN) guest.set(disk.subarray(place, place + length), at);
    if (kind === BLOCK_OUT) disk.set(guest.subarray(at, at + length), place);
    place += length;
  }
  guest[rest.at(-1)!.at] = 0;
  return written;
}
