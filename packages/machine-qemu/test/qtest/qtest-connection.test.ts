import { UnixSocket } from '@virtio-platform/host';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { hex, QtestConnection } from '../../src/qtest/qtest-connection.ts';

const REPLY_TIMEOUT_MS = 60;

let peer: UnixSocket;
let qtest: QtestConnection;

beforeEach(() => {
  const [here, there] = UnixSocket.pair();
  peer = there;
  qtest = new QtestConnection(here, { replyTimeoutMs: REPLY_TIMEOUT_MS, stderrTail: () => 'the end of the output' });
});
afterEach(() => {
  qtest.dispose();
  peer.dispose();
});

/** Sends an answer of QEMU before the command, because both ends are in this thread. */
function answer(text: string): void {
  expect(peer.send(Buffer.from(text), [], 1000)).toBe('done');
}

function lost(message: RegExp): unknown {
  return expect.objectContaining({ code: 'ERR_DEVICE_LOST', message: expect.stringMatching(message) });
}

describe('QtestConnection', () => {
  it('sends a line and returns the text behind OK', () => {
    answer('OK little\nOK\nOK 0x0000000000001234\n');
    expect(qtest.ask('endianness')).toBe('little');
    qtest.post('writel 0x1000 0x1');
    expect(qtest.number('readl 0x1000')).toBe(0x1234);
    const sent = new Uint8Array(64);
    const length = peer.receiveSome(sent, 1000);
    expect(Buffer.from(sent.subarray(0, Number(length))).toString()).toBe(
      'endianness\nwritel 0x1000 0x1\nreadl 0x1000\n',
    );
  });

  it('posts without waiting, and receives the answers in order with the next command that waits', () => {
    const start = performance.now();
    qtest.post('writel 0x0 0x1');
    qtest.post('writel 0x4 0x2');
    expect(performance.now() - start).toBeLessThan(REPLY_TIMEOUT_MS);
    answer('OK\nIRQ raise 1\nOK\nOK 0x3\n');
    expect(qtest.number('readl 0x8')).toBe(3);
    answer('OK 0x4\n');
    expect(qtest.number('readl 0xc')).toBe(4);
  });

  it('is lost where a register has more bytes than were read', () => {
    answer('OK 0x100\n');
    expect(() => qtest.number('readb 0x8', 1)).toThrow(lost(/answered "0x100" to readb 0x8/));
  });

  it('names the posted command that was refused', () => {
    qtest.post('writel 0x0 0x1');
    qtest.post('writel 0x4 0x2');
    answer('OK\nFAIL\nOK 0x3\n');
    expect(() => qtest.number('readl 0x8')).toThrow(lost(/answered "FAIL" to writel 0x4 0x2/));
  });

  it('waits for answers when 64 commands are posted', () => {
    for (let i = 1; i < 64; i++) qtest.post('outb 0x0 0x0');
    expect(() => qtest.post('outb 0x0 0x1')).toThrow(lost(/did not answer outb 0x0 0x0/));
  });

  it('skips interrupt reports before an answer', () => {
    answer('IRQ raise 4\nIRQ lower 4\nIRQ raise 11\nOK 0x1\n');
    expect(qtest.number('readl 0x0')).toBe(1);
  });

  it('joins the parts of an answer', () => {
    answer('IRQ rai');
    qtest.send('readl 0x0');
    expect(qtest.hasAnswer).toBe(true);
    answer('se 1\nOK 0x');
    answer('2a\n');
    expect(qtest.answer('readl 0x0')).toBe('0x2a');
    expect(qtest.hasAnswer).toBe(false);
  });

  it.each([
    ['refuses', 'FAIL Unknown command\n', /answered "FAIL Unknown command" to readl 0x0/],
    ['reports wrong arguments', 'ERR invalid argument size\n', /answered "ERR/],
    ['answers something else', 'HELLO\n', /answered "HELLO"/],
    ['reports an invalid interrupt line', 'IRQ raise x\nOK 0x1\n', /answered "IRQ raise x"/],
    ['answers without a number', 'OK\n', /answered "" to readl/],
    ['answers a number without 0x', 'OK 12\n', /answered "12"/],
    ['answers a number with other characters', 'OK 0x12zz\n', /answered "0x12zz"/],
    ['answers a number that is not exact', 'OK 0xffffffffffffffff\n', /answered "0xffffffffffffffff"/],
    ['never ends its line', 'OK 0x'.padEnd(5000, '0'), /more than a line/],
    ['reports interrupts without end', 'IRQ raise 1\n'.repeat(1000), /reports interrupts and does not answer/],
    ['does not answer', ' ', /did not answer readl 0x0 in 60 ms/],
  ])('loses the connection to a QEMU that %s', (_, text, message) => {
    answer(text);
    expect(() => qtest.number('readl 0x0')).toThrow(lost(message));
    expect(() => qtest.post('writel 0x0 0x0')).toThrow(lost(message));
    expect(() => qtest.check()).toThrow(lost(/the end of the output/));
  });

  it('bounds the wait for an answer', () => {
    const start = performance.now();
    expect(() => qtest.ask('endianness')).toThrow(lost(/in 60 ms/));
    const took = performance.now() - start;
    expect(took).toBeGreaterThanOrEqual(REPLY_TIMEOUT_MS - 1);
    expect(took).toBeLessThan(1000);
  });

  it('bounds the wait for a QEMU that no longer receives', () => {
    const start = performance.now();
    const line = 'x'.repeat(4 << 20);
    expect(() => qtest.ask(line)).toThrow(lost(/does not accept/));
    expect(performance.now() - start).toBeLessThan(2000);
  });

  it('reports that QEMU closed the connection', () => {
    peer.dispose();
    expect(() => qtest.ask('endianness')).toThrow(lost(/closed the connection.*the end of the output/));
  });

  it('sends no command after dispose', () => {
    qtest.dispose();
    qtest.dispose();
    expect(() => qtest.ask('endianness')).toThrow(lost(/the connection was closed/));
  });

  it('writes numbers in the notation of qtest', () => {
    expect([0, 255, 0x8000_0000, 2 ** 45].map(hex)).toEqual(['0x0', '0xff', '0x80000000', '0x200000000000']);
  });
});
