import type { PacketLayers } from '../offload/packet-layers.ts';
import { FrameHash, NET_HASH_KEY_BYTES, NET_HASH_TYPES } from './frame-hash.ts';
import { NET_LONGEST_TABLE } from './scaling-config.ts';

/**
 * The device's side of hashes and receive-side scaling: which receive queue a frame goes to, and the hash in its
 * header. Without RSS_CONFIG a frame goes to the pair that it was sent on: its flow is programmed by what the driver
 * transmits (specification 1.4 section 5.1.6.5.5). The last of the commands for pairs, hashes and scaling decides, as
 * in QEMU's device.
 */
export class ReceiveSteering {
  readonly hash: FrameHash = new FrameHash();
  #types = 0;
  readonly #key: Uint8Array = new Uint8Array(NET_HASH_KEY_BYTES);
  readonly #table: Uint16Array = new Uint16Array(NET_LONGEST_TABLE);
  #mask = 0;
  #unclassified = 0;
  #isScaling = false;

  /** Whether frames go to other pairs than they were sent on. */
  get isScaling(): boolean {
    return this.#isScaling;
  }

  /** No hashes, and frames go to the pair that they were sent on. */
  reset(): void {
    this.#types = 0;
    this.#isScaling = false;
  }

  /**
   * The data of HASH_CONFIG, from byte 0 of `view` on. Returns whether it is as section 5.1.6.5.6.4 has it; otherwise
   * nothing changes.
   */
  configureHash(view: DataView, length: number, littleEndian: boolean): boolean {
    if (length < 13) return false;
    const keyLength = view.getUint8(12);
    const types = view.getUint32(0, littleEndian);
    if (keyLength > NET_HASH_KEY_BYTES || length !== 13 + keyLength || (types & ~NET_HASH_TYPES) !== 0) return false;
    this.#take(types, view, 13, keyLength);
    this.#isScaling = false;
    return true;
  }

  /**
   * The data of RSS_CONFIG, from byte 0 of `view` on, for a device with so many pairs. Returns how many transmit queues
   * are used from then on; 0 where the data is not as section 5.1.6.5.7.1 has it, and then nothing changes.
   */
  configureScaling(view: DataView, length: number, pairs: number, littleEndian: boolean): number {
    if (length < 11) return 0;
    const types = view.getUint32(0, littleEndian);
    const entries = view.getUint16(4, littleEndian) + 1;
    const unclassified = view.getUint16(6, littleEndian);
    const end = 8 + 2 * entries;
    const isTable = entries <= NET_LONGEST_TABLE && (entries & (entries - 1)) === 0;
    if (!isTable || length < end + 3 || unclassified >= pairs || (types & ~NET_HASH_TYPES) !== 0) return 0;
    for (let i = 0; i < entries; i++) if (view.getUint16(8 + 2 * i, littleEndian) >= pairs) return 0;
    const transmitQueues = view.getUint16(end, littleEndian);
    const keyLength = view.getUint8(end + 2);
    if (transmitQueues < 1 || transmitQueues > pairs) return 0;
    if (keyLength > NET_HASH_KEY_BYTES || length !== end + 3 + keyLength) return 0;
    for (let i = 0; i < entries; i++) this.#table[i] = view.getUint16(8 + 2 * i, littleEndian);
    this.#mask = entries - 1;
    this.#unclassified = unclassified;
    this.#take(types, view, end + 3, keyLength);
    this.#isScaling = true;
    return transmitQueues;
  }

  /** Hashes a frame, and returns the pair that it is received on. Hot. */
  steer(frame: Uint8Array, layers: PacketLayers, sentOn: number): number {
    this.hash.of(frame, layers, this.#types, this.#key);
    if (!this.#isScaling) return sentOn;
    return this.hash.report === 0 ? this.#unclassified : this.#table[this.hash.value & this.#mask]!;
  }

  /** The highest pair that frames can be received on, where they go by the table. */
  get highestPair(): number {
    let highest = this.#unclassified;
    for (let i = 0; i <= this.#mask; i++) highest = Math.max(highest, this.#table[i]!);
    return highest;
  }

  #take(types: number, view: DataView, keyAt: number, keyLength: number): void {
    this.#types = types;
    this.#key.fill(0);
    for (let i = 0; i < keyLength; i++) this.#key[i] = view.getUint8(keyAt + i);
  }
}
