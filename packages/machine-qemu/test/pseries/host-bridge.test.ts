import { GuestMemory } from '@virtio-platform/core/memory';
import { describe, expect, it } from 'vitest';
import { DeviceTree } from '../../src/pseries/device-tree.ts';
import { readHostBridge } from '../../src/pseries/host-bridge.ts';

const ADDRESS = 0x8000;

/** A node for {@link treeOf}: properties are cells or text. */
interface Node {
  readonly name: string;
  readonly properties?: Readonly<Record<string, readonly number[] | string>>;
  readonly children?: readonly Node[];
}

/** Puts a tree into memory, version 17, without the code under test. */
function treeOf(root: Node): GuestMemory {
  const names: string[] = [];
  const bytes: number[] = [];
  const word = (value: number): void =>
    void bytes.push(value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255);
  const text = (value: string): void => void bytes.push(...Buffer.from(`${value}\0`));
  const align = (): void => void bytes.push(...Array.from({ length: -bytes.length & 3 }, () => 0));
  const write = ({ name, properties = {}, children = [] }: Node): void => {
    word(1);
    text(name);
    align();
    for (const [key, value] of Object.entries(properties)) {
      word(3);
      word(typeof value === 'string' ? value.length : 4 * value.length);
      word(names.join('').length);
      names.push(`${key}\0`);
      if (typeof value === 'string') bytes.push(...Buffer.from(value));
      else value.forEach(word);
      align();
    }
    word(4);
    children.forEach(write);
    word(2);
  };
  write(root);
  word(9);
  const memory = new GuestMemory(new SharedArrayBuffer(2 ** 20));
  const strings = Buffer.from(names.join(''));
  const total = 40 + bytes.length + strings.length;
  const header = [0xd00d_feed, total, 40, 40 + bytes.length, 0, 17, 16, 0, strings.length, bytes.length];
  header.forEach((value, i) => memory.view.setUint32(ADDRESS + 4 * i, value));
  memory.u8.set(bytes, ADDRESS + 40);
  memory.u8.set(strings, ADDRESS + 40 + bytes.length);
  return memory;
}

const WINDOW = [0x8000_0000, 0, 0x1000_0000, 0, 0x800_0000];
const CELLS = { 'ibm,#dma-address-cells': [2], 'ibm,#dma-size-cells': [2] };

function root(bridge: Node['properties'], hypertas?: string): Node {
  const rtas = { name: 'rtas', properties: hypertas === undefined ? {} : { 'ibm,hypertas-functions': hypertas } };
  const pci = { name: 'pci@800000020000000', ...(bridge && { properties: bridge }) };
  return { name: '', children: [{ name: 'cpus', children: [{ name: 'cpu' }] }, rtas, pci] };
}

function read(tree: Node): ReturnType<typeof readHostBridge> {
  return readHostBridge(DeviceTree.parse(treeOf(tree), ADDRESS));
}

describe('readHostBridge', () => {
  it('finds the default window and whether several entries are one hypercall', () => {
    expect(read(root({ 'ibm,dma-window': WINDOW, ...CELLS }, 'hcall-tce\0hcall-multi-tce\0hcall-bulk\0'))).toEqual({
      defaultWindow: { liobn: 0x8000_0000, base: 0x1000_0000n, size: 0x800_0000, pageShift: 12 },
      multiTce: true,
    });
    expect(read(root({ 'ibm,dma-window': WINDOW }, 'hcall-tce\0hcall-multi-tce-x\0')).multiTce).toBe(false);
    expect(read(root({ 'ibm,dma-window': WINDOW })).multiTce).toBe(false);
  });

  it('counts the cells of address and size as the node says', () => {
    const cells = { 'ibm,#dma-address-cells': [1], 'ibm,#dma-size-cells': [1] };
    expect(read(root({ 'ibm,dma-window': [5, 0x4000_0000, 0x2000_0000], ...cells })).defaultWindow).toEqual({
      liobn: 5,
      base: 0x4000_0000n,
      size: 0x2000_0000,
      pageShift: 12,
    });
    expect(read(root({ 'ibm,dma-window': [5, 0x0800_0000, 0, 1, 0] })).defaultWindow).toMatchObject({
      base: 2n ** 59n,
      size: 2 ** 32,
    });
  });

  it.each([
    ['no bridge', { name: '' }, /no ibm,dma-window/],
    ['no window', root({}), /no ibm,dma-window/],
    ['a window of other cells', root({ 'ibm,dma-window': [1, 2, 3], ...CELLS }), /12 bytes for 5 cells/],
    ['cells beyond 64 bits', root({ 'ibm,dma-window': WINDOW, 'ibm,#dma-size-cells': [3] }), /20 bytes for 6 cells/],
  ] as const)('refuses %s', (_, tree, message) => {
    expect(() => read(tree)).toThrow(
      expect.objectContaining({ code: 'ERR_DEVICE_REFUSED', message: expect.stringMatching(message) }),
    );
  });
});

describe('DeviceTree', () => {
  it.each<readonly [string, (memory: GuestMemory) => void, RegExp]>([
    ['another magic', ({ view }) => view.setUint32(ADDRESS, 1), /at 0x8000 is 0x1$/],
    ['another version', ({ view }) => view.setUint32(ADDRESS + 20, 16), /version is 16/],
    ['more bytes than memory', ({ view }) => view.setUint32(ADDRESS + 4, 0x10_0000), /has 1048576 bytes/],
    ['strings behind its end', ({ view }) => view.setUint32(ADDRESS + 12, 0xffff), /strings are behind/],
    ['a structure longer than itself', ({ view }) => view.setUint32(ADDRESS + 36, 0xffff_0000), /structure is longer/],
    ['no end', ({ view }) => view.setUint32(ADDRESS + 36, 8), /structure has no end/],
    ['an unknown token', ({ view }) => view.setUint32(ADDRESS + 40, 7), /has 0x7 at 0x28/],
    ['a property behind its end', ({ view }) => view.setUint32(ADDRESS + 40 + 12, 0xffff_ff00), /ends behind the tree/],
    ['a name without end', ({ view }) => view.setUint32(ADDRESS + 40 + 16, 0xff), /a name in it has no end/],
  ])('refuses %s', (_, breakIt, message) => {
    const memory = treeOf({ name: '', properties: { compatible: 'qemu,pseries\0' } });
    expect(DeviceTree.parse(memory, ADDRESS).properties.get('compatible')).toHaveLength(13);
    breakIt(memory);
    expect(() => DeviceTree.parse(memory, ADDRESS)).toThrow(
      expect.objectContaining({ code: 'ERR_DEVICE_REFUSED', message: expect.stringMatching(message) }),
    );
  });

  it('refuses an address outside of memory, and a tree deeper than any', () => {
    const deep = (depth: number): Node => ({ name: 'n', children: depth === 0 ? [] : [deep(depth - 1)] });
    expect(() => DeviceTree.parse(treeOf({ name: '' }), 2 ** 20)).toThrow(/no address 0x100000/);
    expect(() => DeviceTree.parse(treeOf(deep(40)), ADDRESS)).toThrow(/structure has 0x1/);
  });
});
