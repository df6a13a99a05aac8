import { execFileSync } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import block from '@virtio-platform/device-block';
import { deviceDescription, ownTemporaryFolder } from '@virtio-platform/conformance/testing';
import { closeDescriptor, SharedMemory, UnixSocket } from '@virtio-platform/host';
import {
  CONFIG_HEADER_BYTES,
  encodeConfig,
  encodeMemoryTable,
  encodeU64,
  encodeVringAddress,
  encodeVringState,
  FLAG_NEED_REPLY,
  MessageHeader,
  protocolFeatures,
  sendMessage,
  VHOST_USER_F_PROTOCOL_FEATURES,
  VHOST_USER_REQUESTS,
  type RequestName,
} from '@virtio-platform/vhost-user';
import { serveDevice, type ServeEvent, type ServeOptions } from '../src/index.ts';

/** Guest-physical and user address of the memory that {@link OwnFrontEnd.giveMemory} gives. */
export const GUEST_ADDRESS = 0x10_0000;
export const USER_ADDRESS = 0x7000_0000_0000n;
export const MEMORY_BYTES = 1 << 20;
const WAIT_MS = 5000;

/** What a front-end calls an offset in its memory. */
function userAt(offset: number): bigint {
  return USER_ADDRESS + BigInt(offset);
}

/** Waits, while the server in this process works. Throws where `is` stays false. */
export async function until(is: () => boolean, what: string): Promise<void> {
  for (const end = performance.now() + WAIT_MS; !is(); await setTimeout(1))
    if (performance.now() > end) throw new Error(`waited ${WAIT_MS} ms for ${what}`);
}

/** A server of a disk of 64 sectors in this process. */
export class OwnServer {
  readonly events: ServeEvent[] = [];
  readonly path: string;
  readonly #folder = ownTemporaryFolder();
  readonly #stop = new AbortController();
  readonly #served: Promise<unknown>;

  constructor(changes: Partial<ServeOptions> = {}) {
    this.path = `${this.#folder.path}/socket`;
    const { settings } = deviceDescription(block, { capacity: '32KiB' });
    this.#served = serveDevice({
      type: block,
      settings,
      socket: this.path,
      signal: this.#stop.signal,
      onEvent: (event) => this.events.push(event),
      ...changes,
    });
  }

  /** What was told of problems. */
  get problems(): string[] {
    return this.events.flatMap((event) => (event.kind === 'problem' ? [`the ${event.by} ${event.text}`] : []));
  }

  async connect(): Promise<OwnFrontEnd> {
    const before = this.events.filter(({ kind }) => kind === 'connected').length;
    const frontEnd = new OwnFrontEnd(UnixSocket.connect(this.path));
    await until(() => this.events.filter(({ kind }) => kind === 'connected').length > before, 'a connection');
    return frontEnd;
  }

  /** Waits until the front-end that there is was let go. */
  async untilDisconnected(): Promise<void> {
    const count = (kind: ServeEvent['kind']): number => this.events.filter((event) => event.kind === kind).length;
    await until(() => count('disconnected') === count('connected'), 'the end of the connection');
  }

  async end(): Promise<void> {
    this.#stop.abort();
    await this.#served;
    this.#folder.remove();
  }
}

/** A front-end that says what a test wants. */
export class OwnFrontEnd {
  readonly #socket: UnixSocket;
  readonly #owned: { dispose(): void }[] = [];
  memory: SharedMemory | undefined;

  constructor(socket: UnixSocket) {
    this.#socket = socket;
  }

  /** Sends bytes as they are. */
  sendRaw(bytes: Uint8Array, descriptors: readonly number[] = []): void {
    this.#socket.send(bytes, descriptors, WAIT_MS);
  }

  send(
    name: RequestName,
    payload: Uint8Array = new Uint8Array(0),
    descriptors: readonly number[] = [],
    flags = 0,
  ): void {
    sendMessage(this.#socket, { request: VHOST_USER_REQUESTS[name], flags, payload, descriptors }, WAIT_MS);
  }

  /** Receives an answer; `undefined` where the connection ended. */
  async receive(): Promise<{ readonly request: number; readonly payload: DataView } | undefined> {
    await until(() => this.#socket.isReadable(), 'an answer');
    const header = new MessageHeader();
    if (this.#socket.receive(header.bytes, WAIT_MS) !== 'done') return undefined;
    const payload = new Uint8Array(header.size);
    if (header.size > 0) this.#socket.receive(payload, WAIT_MS);
    return { request: header.request, payload: new DataView(payload.buffer) };
  }

  /** Asks a question that has one u64, or two u32, as its answer. */
  async ask(name: RequestName, payload?: Uint8Array): Promise<bigint | undefined> {
    this.send(name, payload);
    return (await this.receive())?.payload.getBigUint64(0, true);
  }

  /** Asks a question whose answer brings a descriptor along, which is closed with the front-end. */
  async askFile(
    name: RequestName,
    payload: Uint8Array,
  ): Promise<{ readonly payload: DataView; readonly descriptor: number } | undefined> {
    this.send(name, payload);
    await until(() => this.#socket.isReadable(), 'an answer');
    const header = new MessageHeader();
    const descriptors: number[] = [];
    if (this.#socket.receiveDescriptors(header.bytes, descriptors, WAIT_MS) !== 'done') return undefined;
    const answer = new Uint8Array(header.size);
    if (header.size > 0) this.#socket.receive(answer, WAIT_MS);
    for (const descriptor of descriptors) this.ownDescriptor(descriptor);
    return { payload: new DataView(answer.buffer), descriptor: descriptors[0] ?? -1 };
  }

  /** Reads a byte of the configuration. */
  async configByte(offset: number): Promise<number | undefined> {
    this.send('GET_CONFIG', encodeConfig(0, new Uint8Array(60)));
    return (await this.receive())?.payload.getUint8(CONFIG_HEADER_BYTES + offset);
  }

  /** Has something done: 0 where it was, anything else where it was refused, `undefined` where the connection ended. */
  async tell(name: RequestName, payload?: Uint8Array, descriptors?: readonly number[]): Promise<bigint | undefined> {
    this.send(name, payload, descriptors, FLAG_NEED_REPLY);
    return (await this.receive())?.payload.getBigUint64(0, true);
  }

  /** Takes all protocol features that are offered, and of the device those that are given and offered. */
  async negotiate(features: bigint): Promise<void> {
    const offered = (await this.ask('GET_FEATURES'))!;
    const protocol = (await this.ask('GET_PROTOCOL_FEATURES'))!;
    this.send('SET_PROTOCOL_FEATURES', encodeU64(protocol & ~protocolFeatures('STATUS')));
    const accepted = (features & offered) | (1n << BigInt(VHOST_USER_F_PROTOCOL_FEATURES));
    if ((await this.tell('SET_FEATURES', encodeU64(accepted))) !== 0n) throw new Error('features were refused');
  }

  /** Gives one region, which {@link memory} has. */
  async giveMemory(): Promise<void> {
    this.memory = this.own(SharedMemory.create(MEMORY_BYTES));
    const region = { guestAddress: BigInt(GUEST_ADDRESS), size: MEMORY_BYTES, userAddress: USER_ADDRESS, offset: 0 };
    const answer = await this.tell('SET_MEM_TABLE', encodeMemoryTable(region), [this.memory.descriptor]);
    if (answer !== 0n) throw new Error('memory was refused');
  }

  /** Says where the ring of queue 0 is, at these offsets in memory. */
  async placeRing(size: number, descriptor: number, driver: number, device: number, base = 0): Promise<void> {
    await this.tell('SET_VRING_NUM', encodeVringState(0, size));
    await this.tell('SET_VRING_BASE', encodeVringState(0, base));
    await this.tell('SET_VRING_ADDR', encodeVringAddress(0, userAt(descriptor), userAt(driver), userAt(device)));
  }

  /** What `dispose` disposes of too. */
  own<T extends { dispose(): void }>(owned: T): T {
    this.#owned.push(owned);
    return owned;
  }

  /** A descriptor of a file that is closed with the front-end. */
  openFile(path: string, flags: string): number {
    const descriptor = openSync(path, flags);
    this.own({ dispose: () => closeSync(descriptor) });
    return descriptor;
  }

  /** A descriptor of both ends of a pipe, which is closed with the front-end. */
  openPipe(): number {
    const folder = ownTemporaryFolder();
    this.own({ dispose: () => folder.remove() });
    const path = `${folder.path}/pipe`;
    execFileSync('mkfifo', [path]);
    return this.openFile(path, 'r+');
  }

  /** Closes a descriptor with the front-end. */
  ownDescriptor(descriptor: number): number {
    this.own({ dispose: () => closeDescriptor(descriptor) });
    return descriptor;
  }

  dispose(): void {
    this.#socket.dispose();
    for (const owned of this.#owned.splice(0)) owned.dispose();
  }
}
