import { UnixSocket } from '@virtio-platform/host';
import { describe, expect, it } from 'vitest';
import {
  backEndRequestName,
  CONFIG_HEADER_BYTES,
  decodeConfigHeader,
  decodeIotlbMessage,
  decodeMemoryTable,
  decodeRegion,
  decodeU64,
  decodeVringAddress,
  decodeVringState,
  encodeConfig,
  encodeIotlbMessage,
  encodeMemoryTable,
  encodeRegion,
  encodeU64,
  encodeVringAddress,
  encodeVringState,
  FLAG_NEED_REPLY,
  FLAG_REPLY,
  IotlbMessageType,
  MessageHeader,
  protocolFeatureNames,
  protocolFeatures,
  requestName,
  ringAreaBytes,
  sendMessage,
  VHOST_USER_REQUESTS,
} from '../src/index.ts';

const view = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
const BIG = 0xfedc_ba98_7654_3210n;

describe('payloads', () => {
  it('are decoded to what was encoded', () => {
    expect(decodeU64(view(encodeU64(BIG)))).toBe(BIG);
    expect(decodeVringState(view(encodeVringState(3, 0x8000_8000)))).toEqual({ index: 3, value: 0x8000_8000 });
    expect(decodeVringAddress(view(encodeVringAddress(2, 1n, BIG, 3n)))).toEqual({
      index: 2,
      areas: [1n, BIG, 3n],
      flags: 0,
      log: 0n,
    });
    expect(decodeVringAddress(view(encodeVringAddress(2, 1n, 2n, 3n, BIG)))).toMatchObject({ flags: 1, log: BIG });
    const region = { guestAddress: BIG, size: 8192, userAddress: BIG + 1n, offset: 4096 };
    const decoded = { ...region, size: 8192n, offset: 4096n };
    expect(decodeRegion(view(encodeRegion(region)))).toEqual(decoded);
    expect(decodeMemoryTable(view(encodeMemoryTable(region)))).toEqual([decoded]);
    const config = encodeConfig(16, Uint8Array.of(1, 2, 3));
    expect(decodeConfigHeader(view(config))).toEqual({ offset: 16, size: 3, flags: 0 });
    expect([...config.subarray(CONFIG_HEADER_BYTES)]).toEqual([1, 2, 3]);
    const update = {
      type: IotlbMessageType.Update,
      low: 0xffff_f000,
      high: 7,
      size: 4096,
      userAddress: BIG,
      permission: 3,
    };
    expect(decodeIotlbMessage(view(encodeIotlbMessage(update)))).toEqual(update);
  });

  it('of a table have as many regions as they say', () => {
    const table = encodeMemoryTable({ guestAddress: 0n, size: 4096, userAddress: 0n, offset: 0 });
    for (const count of [2, 255]) {
      table[0] = count;
      expect(decodeMemoryTable(view(table))).toBeUndefined();
    }
    expect(decodeMemoryTable(view(table.subarray(0, 39)))).toBeUndefined();
    // Room for two, and one in it.
    table[0] = 1;
    expect(decodeMemoryTable(view(Uint8Array.of(...table, ...new Uint8Array(32))))).toHaveLength(1);
    expect(decodeMemoryTable(view(new Uint8Array(4)))).toBeUndefined();
    expect(decodeMemoryTable(view(new Uint8Array(8)))).toEqual([]);
  });

  it('of rings have the areas of their layout (specification 1.4 sections 2.7 and 2.8)', () => {
    expect(ringAreaBytes('split', 16)).toEqual([256, 6 + 32, 6 + 128]);
    expect(ringAreaBytes('packed', 10)).toEqual([160, 4, 4]);
  });
});

describe('a message', () => {
  it('has its header in front, and its descriptors beside it', () => {
    const [here, there] = UnixSocket.pair();
    const payload = Uint8Array.of(1, 2, 3, 4);
    const message = { request: VHOST_USER_REQUESTS.SET_MEM_TABLE, flags: FLAG_NEED_REPLY, payload };
    expect(sendMessage(here, { ...message, descriptors: [here.descriptor] }, 1000)).toBe('done');
    const header = new MessageHeader();
    const descriptors: number[] = [];
    expect(there.receiveDescriptors(header.bytes, descriptors, 1000)).toBe('done');
    const { request, flags, size, isReply, isRequest, wantsReply } = header;
    expect({ request, flags, size, isReply, isRequest, wantsReply }).toEqual({
      request: 5,
      flags: 9,
      size: 4,
      isReply: false,
      isRequest: true,
      wantsReply: true,
    });
    expect(descriptors).toHaveLength(1);
    UnixSocket.adopt(descriptors[0]!).dispose();
    const rest = new Uint8Array(4);
    there.receive(rest, 1000);
    expect(rest).toEqual(payload);
    for (const socket of [here, there]) socket.dispose();
  });

  it('in another version is neither request nor reply', () => {
    const header = new MessageHeader();
    for (const flags of [0, 2, 3, FLAG_REPLY]) {
      view(header.bytes).setUint32(4, flags, true);
      expect([header.isRequest, header.isReply]).toEqual([false, false]);
    }
    view(header.bytes).setUint32(4, 1 | FLAG_REPLY, true);
    expect([header.isRequest, header.isReply]).toEqual([false, true]);
  });

  it('has a name where the protocol has one', () => {
    expect([requestName(24), requestName(99)]).toEqual(['GET_CONFIG', undefined]);
    expect([backEndRequestName(2), backEndRequestName(99)]).toEqual(['CONFIG_CHANGE_MSG', undefined]);
    expect(protocolFeatures('MQ', 'CONFIG', 'STATUS')).toBe(0x1_0201n);
    expect(protocolFeatureNames(0x1_0201n | (1n << 40n))).toEqual(['MQ', 'CONFIG', 'STATUS']);
  });
});
