import block from '@virtio-platform/device-block';
import { UnixSocket } from '@virtio-platform/host';
import { describe, expect, it } from 'vitest';
import { negotiateProtocol, type BackEndUse } from '../src/back-end.ts';
import { VhostUserConnection } from '../src/vhost-user-connection.ts';

const NOTHING = new Uint8Array(0);
/** As of a block device under a platform that gives and takes parts of memory. */
const BLOCK: BackEndUse = { type: block, translation: true, parts: true, reconnect: false, log: false };

/** A connection and the end of a back-end, which has written its answers in advance: both are in this thread. */
function connect(...answers: Uint8Array[]): { connection: VhostUserConnection; backEnd: UnixSocket; end: () => void } {
  const [here, there] = UnixSocket.pair();
  for (const answer of answers) there.send(answer, [], 1000);
  const connection = new VhostUserConnection(here, { replyTimeoutMs: 50, stderrTail: () => 'it hurts' });
  const end = (): void => {
    connection.dispose();
    there.dispose();
  };
  return { connection, backEnd: there, end };
}

function reply(request: number, value: bigint, { flags = 5, size = 8 } = {}): Uint8Array {
  const bytes = new DataView(new ArrayBuffer(20));
  bytes.setUint32(0, request, true);
  bytes.setUint32(4, flags, true);
  bytes.setUint32(8, size, true);
  bytes.setBigUint64(12, value, true);
  return new Uint8Array(bytes.buffer);
}

describe('VhostUserConnection', () => {
  it('frames a request and returns its answer', () => {
    const { connection, backEnd, end } = connect(reply(1, 0x1234n));
    expect(connection.query('GET_FEATURES', NOTHING, 8).getBigUint64(0, true)).toBe(0x1234n);
    const sent = new Uint8Array(12);
    backEnd.receive(sent, 1000);
    expect([...sent]).toEqual([1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    end();
  });

  it('asks for an acknowledgement once that was negotiated, and reports a refusal without giving up', () => {
    const { connection, backEnd, end } = connect(reply(3, 1n), reply(1, 7n));
    connection.acknowledgeCommands();
    expect(() => connection.command('SET_OWNER')).toThrow(expect.objectContaining({ code: 'ERR_DEVICE_REFUSED' }));
    const sent = new Uint8Array(12);
    backEnd.receive(sent, 1000);
    expect(sent[4]).toBe(9);
    expect(connection.query('GET_FEATURES', NOTHING, 8).getBigUint64(0, true)).toBe(7n);
    end();
  });

  it.each([
    ['answers another request', reply(2, 0n)],
    ['sends a request instead of a reply', reply(1, 0n, { flags: 1 })],
    ['speaks another version', reply(1, 0n, { flags: 6 })],
    ['announces more than fits', reply(1, 0n, { size: 0xffff_ffff })],
    ['announces less than is needed', reply(1, 0n, { size: 4 })],
    ['sends half of a message', reply(1, 0n).subarray(0, 15)],
    ['says nothing', NOTHING],
  ])('gives up a back-end that %s', (_, answer) => {
    const { connection, end } = connect(answer);
    const lost = expect.objectContaining({
      code: 'ERR_DEVICE_LOST',
      message: expect.stringMatching(/GET_FEATURES.*it hurts/),
    });
    expect(() => connection.query('GET_FEATURES', NOTHING, 8)).toThrow(lost);
    expect(connection.isLost).toBe(true);
    expect(() => connection.command('SET_OWNER')).toThrow(lost);
    end();
  });

  it('gives up a back-end that closed', () => {
    const { connection, backEnd, end } = connect();
    backEnd.dispose();
    expect(() => connection.command('SET_OWNER')).toThrow(expect.objectContaining({ code: 'ERR_DEVICE_LOST' }));
    end();
  });
});

describe('VhostUserConnection, of a back-end that is there again', () => {
  /** What ends the back-end while its answer is awaited: its back channel can be read, and the main one cannot yet. */
  it.each([
    ['the end of its back channel is seen', (connection: VhostUserConnection) => connection.loseGone('it closed it')],
    [
      'it does not take the answer to its own request',
      (connection: VhostUserConnection, backEnd: UnixSocket) => {
        backEnd.dispose();
        expect(() => connection.post('IOTLB_MSG', new Uint8Array(32))).toThrow(/gone/);
      },
    ],
  ])('asks again what was not answered: where %s first', (_, end) => {
    const { connection, backEnd, end: dispose } = connect();
    const [here, there] = UnixSocket.pair();
    const [requests, requestsEnd] = UnixSocket.pair();
    there.send(reply(1, 7n), [], 1000);
    requestsEnd.send(new Uint8Array(1), [], 1000);
    connection.serveRequestsWith({ descriptor: requests.descriptor, serve: () => end(connection, backEnd) });
    const reviver = { mayRevive: true, revive: (): void => connection.renew(here) };
    connection.reviveWith(reviver);
    expect(connection.query('GET_FEATURES', NOTHING, 8).getBigUint64(0, true)).toBe(7n);
    const sent = new Uint8Array(12);
    expect(there.receive(sent, 0)).toBe('done');
    expect(sent[0]).toBe(1);
    dispose();
    for (const socket of [there, requests, requestsEnd]) socket.dispose();
  });
});

describe('negotiateProtocol', () => {
  it.each([
    ['protocol features', [reply(1, 1n << 32n)]],
    ['CONFIG, CONFIGURE_MEM_SLOTS', [reply(1, 1n << 30n), reply(15, 1n << 3n)]],
    ['memory regions', [reply(1, 1n << 30n), reply(15, 0x8208n), reply(3, 0n), reply(36, 0n)]],
  ])('refuses a back-end that lacks %s', async (what, answers) => {
    const { connection, end } = connect(...answers);
    await expect(negotiateProtocol(connection, BLOCK)).rejects.toMatchObject({
      code: 'ERR_MACHINE_BACK_END',
      message: expect.stringContaining(what),
    });
    end();
  });

  it('bounds what a back-end claims to have', async () => {
    const answers = [reply(1, 1n << 30n), reply(15, 0x8209n), reply(3, 0n), reply(17, 1n << 40n), reply(36, 1n << 60n)];
    const { connection, end } = connect(...answers);
    expect(await negotiateProtocol(connection, BLOCK)).toMatchObject({ queueCount: 256, memorySlots: 512 });
    end();
  });
});
