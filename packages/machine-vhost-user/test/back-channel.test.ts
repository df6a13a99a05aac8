import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LyingBackEnd } from './iotlb/lying-back-end.ts';

const PAGE = 4096;
const READ_WRITE = 3;
const GET_FEATURES = 1;

let peer: LyingBackEnd;
beforeEach(() => {
  peer = new LyingBackEnd();
});
afterEach(() => peer.dispose());

describe('BackChannel', () => {
  it('answers misses while the back-end is asked for something else', () => {
    peer.container.mapDma(0, 0, 2 * PAGE, READ_WRITE);
    peer.say({ address: 4100n });
    peer.answer(GET_FEATURES, 5n);
    peer.say({ address: 1n, permission: 2 });
    expect(peer.connection.query('GET_FEATURES', new Uint8Array(0), 8).getBigUint64(0, true)).toBe(5n);
    peer.channel.serve();
    expect(peer.translations()).toEqual(['1000+1: page 1 permission 3', '0+1: page 0 permission 3']);
  });

  it('says whether it did what it was asked for, where the back-end wants to know', () => {
    peer.container.mapDma(0, 0, PAGE, READ_WRITE);
    peer.say({ flags: 9 });
    peer.say({ flags: 9, address: 0x10_0000n });
    peer.channel.serve();
    const answers = new DataView(peer.heard(40).buffer);
    expect([0, 4, 8, 12].map((at) => answers.getUint32(at, true))).toEqual([1, 5, 8, 0]);
    expect(answers.getBigUint64(32, true)).toBe(1n);
  });

  it('records that the back-end says an access failed, and why if that can be known', () => {
    peer.container.mapDma(0, 0, PAGE, READ_WRITE);
    peer.say({ type: 4, address: 0x5000n, length: 64n, permission: 2 });
    peer.say({ type: 4, address: 0x10n, length: 0n, permission: 1 });
    peer.say({ type: 4, address: 0xffff_ffff_ffff_ff00n, length: 1n << 63n, permission: 3 });
    peer.channel.serve();
    expect(peer.faults.entries).toMatchObject([
      { address: 0x5000n, length: 64, access: 'write', cause: 'unmapped' },
      { address: 0x10n, length: 1, access: 'read', cause: 'unmapped' },
      { address: 0xffff_ffff_ffff_ff00n, length: 2 ** 32, access: 'read', cause: 'outside-window' },
      { address: 0xffff_ffff_ffff_ff00n, length: 2 ** 32, access: 'write', cause: 'outside-window' },
    ]);
    expect(peer.connection.isLost).toBe(false);
  });

  it.each([
    ['of a type that only a front-end sends', { type: 2 }, /type 2/],
    ['of no type', { type: 0 }, /type 0/],
    ['for no access at all', { permission: 0 }, /permission 0/],
    ['for an access that does not exist', { permission: 4 }, /permission 4/],
    ['that is too long', { size: 33 }, /33 bytes/],
    ['that claims to be huge', { size: 0xffff_ffff }, /4294967295 bytes/],
    ['that is empty', { size: 0 }, /0 bytes/],
    ['that is an answer', { flags: 5 }, /flags 5/],
    ['of another version', { flags: 2 }, /flags 2/],
    ['that is unknown', { request: 99 }, /request 99/],
    ['of a changed configuration that has a payload', { request: 2 }, /CONFIG_CHANGE_MSG.* 32 bytes/],
    ['and only half of it', { bytes: 20 }, /half of a request/],
    ['and not even all of its header', { bytes: 3 }, /half of a request/],
  ])('gives up a back-end that sends a message %s', (_, message, reason) => {
    peer.say(message);
    if (!('bytes' in message)) peer.say();
    const start = performance.now();
    peer.channel.serve();
    expect(performance.now() - start).toBeLessThan(1000);
    const lost = expect.objectContaining({ code: 'ERR_DEVICE_LOST', message: expect.stringMatching(reason) });
    expect(() => peer.connection.check()).toThrow(lost);
    expect(() => peer.connection.query('GET_FEATURES', new Uint8Array(0), 8)).toThrow(lost);
    expect(peer.translations()).toEqual([]);
    expect(peer.faults.count).toBe(0);
  });

  it('gives up a back-end that closes its end', () => {
    peer.closeChannel();
    peer.channel.serve();
    expect(() => peer.connection.check()).toThrow(/closed its back-channel/);
  });

  it('is not kept from its own deadlines by a flood, nor remembers all of it', () => {
    peer.dispose();
    peer = new LyingBackEnd({ replyTimeoutMs: 1000 });
    peer.container.mapDma(0, 0, PAGE, READ_WRITE);
    for (let i = 0; i < 200; i++) peer.say({ address: BigInt(i % 2) << 40n });
    peer.channel.serve();
    expect(peer.translations()).toHaveLength(32);
    expect(peer.iotlb.size).toBe(1);
    // No answer to the request itself comes.
    const start = performance.now();
    expect(() => peer.connection.query('GET_FEATURES', new Uint8Array(0), 8)).toThrow(/no answer in 1000 ms/);
    expect(performance.now() - start).toBeLessThan(3000);
    expect(peer.faults.count).toBe(100);
    for (let i = 0; i < 40_000; i++) peer.iotlb.fail(0, 0x8000_0000, 1, 1);
    expect(peer.faults.entries.length).toBeLessThanOrEqual(256);
    expect(peer.iotlb.size).toBe(1);
  });

  it('gives up a back-end that asks and does not listen', () => {
    peer.container.mapDma(0, 0, PAGE, READ_WRITE);
    let asked = 0;
    for (; asked < 100_000 && !peer.connection.isLost; asked++) {
      peer.say();
      peer.channel.serve();
    }
    expect(() => peer.connection.check()).toThrow(/IOTLB_MSG: it did not take it in 60 ms/);
    expect(asked).toBeLessThan(100_000);
  });
});
