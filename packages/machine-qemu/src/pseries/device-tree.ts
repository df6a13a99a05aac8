import { DeviceError } from '@virtio-platform/core';
import type { GuestMemory } from '@virtio-platform/core/memory';

/** The first word of a tree, and the tokens of its structure (Devicetree Specification 0.4 sections 5.2 and 5.4). */
const MAGIC = 0xd00d_feed;
const BEGIN_NODE = 1;
const END_NODE = 2;
const PROPERTY = 3;
const NOP = 4;
const END = 9;

const HEADER_BYTES = 40;
/** The oldest version of the structure that is read here; one says with which it is compatible. */
const VERSION = 17;
/** QEMU has room for no larger one (include/hw/ppc/spapr.h, FDT_MAX_SIZE). */
const MOST_BYTES = 0x20_0000;
const DEEPEST = 32;

/** A node, its properties by name. */
export interface DeviceTreeNode {
  readonly name: string;
  readonly properties: ReadonlyMap<string, Uint8Array>;
  readonly children: readonly DeviceTreeNode[];
}

interface OpenNode extends DeviceTreeNode {
  readonly properties: Map<string, Uint8Array>;
  readonly children: DeviceTreeNode[];
}

/** A flattened device tree, as a firmware finds it in memory. */
export class DeviceTree {
  readonly #view: DataView;
  readonly #strings: number;
  readonly #end: number;

  private constructor(view: DataView, strings: number, end: number) {
    this.#view = view;
    this.#strings = strings;
    this.#end = end;
  }

  /** Reads the tree at an address of guest memory and returns its root. Throws {@link DeviceError}. */
  static parse(memory: GuestMemory, address: number): DeviceTreeNode {
    if (address % 8 !== 0 || !memory.contains(address, HEADER_BYTES)) throw broken(`it has no address ${hex(address)}`);
    const { buffer, byteOffset } = memory.u8;
    const header = new DataView(buffer, byteOffset + address, HEADER_BYTES);
    const [magic, total, structure, strings] = [0, 4, 8, 12].map((at) => header.getUint32(at));
    if (magic !== MAGIC) throw broken(`at ${hex(address)} is ${hex(magic!)}`);
    const oldest = header.getUint32(24);
    if (oldest > VERSION || header.getUint32(20) < VERSION) throw broken(`its version is ${header.getUint32(20)}`);
    if (total! > MOST_BYTES || !memory.contains(address, total!)) throw broken(`it has ${total} bytes`);
    if (strings! > total!) throw broken('its strings are behind its end');
    const end = structure! + header.getUint32(36);
    if (end > total!) throw broken('its structure is longer than itself');
    return new DeviceTree(new DataView(buffer, byteOffset + address, total), strings!, end).#read(structure!);
  }

  #read(start: number): DeviceTreeNode {
    const open: OpenNode[] = [];
    let root: DeviceTreeNode | undefined;
    for (let at = start; ;) {
      const token = this.#word(at);
      at += 4;
      const node = open.at(-1);
      if (token === END && node === undefined && root !== undefined) return root;
      if (token === NOP) continue;
      if (token === BEGIN_NODE && root === undefined && open.length < DEEPEST) {
        const name = this.#text(at);
        at = aligned(at + name.length + 1);
        const child: OpenNode = { name, properties: new Map(), children: [] };
        node?.children.push(child);
        open.push(child);
      } else if (token === PROPERTY && node !== undefined) {
        const length = this.#word(at);
        const name = this.#text(this.#strings + this.#word(at + 4));
        if (at + 8 + length > this.#end) throw broken(`property ${name} ends behind the tree`);
        node.properties.set(name, new Uint8Array(this.#view.buffer, this.#view.byteOffset + at + 8, length).slice());
        at = aligned(at + 8 + length);
      } else if (token === END_NODE && node !== undefined) {
        open.pop();
        if (open.length === 0) root = node;
      } else throw broken(`its structure has ${hex(token)} at ${hex(at - 4)}`);
    }
  }

  #word(at: number): number {
    if (at + 4 > this.#end) throw broken('its structure has no end');
    return this.#view.getUint32(at);
  }

  /** The text up to its zero, one byte a character. */
  #text(at: number): string {
    let text = '';
    for (let i = at; i < this.#view.byteLength; i++) {
      const byte = this.#view.getUint8(i);
      if (byte === 0) return text;
      text += String.fromCodePoint(byte);
    }
    throw broken('a name in it has no end');
  }
}

function aligned(at: number): number {
  return (at + 3) & -4;
}

function broken(what: string): DeviceError {
  return new DeviceError('ERR_DEVICE_REFUSED', `QEMU gives the guest no device tree: ${what}`, {
    hint: 'QEMU builds it for its firmware: look at machine.program and machine.arguments',
  });
}

function hex(value: number): string {
  return `0x${value.toString(16)}`;
}
