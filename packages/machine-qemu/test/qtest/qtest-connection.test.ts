import { UnixSocket } from '@virtio-platform/host';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { hex, QtestConnection } from '../../src/qtest/qtest-connection.ts';

const REPLY_TIMEOUT_MS = 60;

let peer: UnixSocket;
let qtest: QtestConnection;

beforeEach(() => {
  const [here, there] = UnixSocket.pair();
  peer = there;
  qtest = new QtestConnection(here, { replyTimeoutMs: REPLY_TIMEOUT_MS, lastWords: () => 'it hurts' });
});
afterEach(() => {
  qtest.dispose();
  peer.dispose();
});

/** What QEMU says, in advance: both ends are in this thread. */
function says(text: string): void {
  expect(peer.send(Buffer.from(text), [], 1000)).toBe('done');
}

function lost(message: RegExp): unknown {
  return expect.objectContaining({ code: 'ERR_DEVICE_LOST', message: expect.stringMatching(message) });
}

describe('QtestConnection', () => {
  it('sends a line and returns what follows OK', () => {
    says('OK little\nOK\nOK 0x0000000000001234\n');
    expect(qtest.ask('endianness')).toBe('little');
    qtest.post('writel 0x1000 0x1');
    expect(qtest.number('readl 0x1000')).toBe(0x1234);
    const sent = new Uint8Array(64);
    const length = peer.receiveSome(sent, 1000);
    expect(Buffer.from(sent.subarray(0, Number(length))).toString()).toBe(
      'endianness\nwritel 0x1000 0x1\nreadl 0x1000\n',
    );
  });

  it('posts without waiting, and takes the answers in order with the next that is waited for', () => {
    const start = performance.now();
    qtest.post('writel 0x0 0x1');
    qtest.post('writel 0x4 0x2');
    expect(performance.now() - start).toBeLessThan(REPLY_TIMEOUT_MS);
    says('OK\nIRQ raise 1\nOK\nOK 0x3\n');
    expect(qtest.number('readl 0x8')).toBe(3);
    says('OK 0x4\n');
    expect(qtest.number('readl 0xc')).toBe(4);
  });

  it('names the posted command that was refused', () => {
    qtest.post('writel 0x0 0x1');
    qtest.post('writel 0x4 0x2');
    says('OK\nFAIL\nOK 0x3\n');
    expect(() => qtest.number('readl 0x8')).toThrow(lost(/answered "FAIL" to writel 0x4 0x2/));
  });

  it('waits where too much is posted and not answered', () => {
    for (let i = 1; i < 64; i++) qtest.post('outb 0x0 0x0');
    expect(() => qtest.post('outb 0x0 0x1')).toThrow(lost(/did not answer outb 0x0 0x0/));
  });

  it('passes over interrupt lines that are reported before an answer', () => {
    says('IRQ raise 4\nIRQ lower 4\nIRQ raise 11\nOK 0x1\n');
    expect(qtest.number('readl 0x0')).toBe(1);
  });

  it('puts an answer together that comes in parts', () => {
    says('IRQ rai');
    qtest.send('readl 0x0');
    expect(qtest.hasAnswer).toBe(true);
    says('se 1\nOK 0x');
    says('2a\n');
    expect(qtest.answer('readl 0x0')).toBe('0x2a');
    expect(qtest.hasAnswer).toBe(false);
  });

  it.each([
    ['refuses', 'FAIL Unknown command\n', /answered "FAIL Unknown command" to readl 0x0/],
    ['takes arguments for wrong', 'ERR invalid argument size\n', /answered "ERR/],
    ['answers something else', 'HELLO\n', /answered "HELLO"/],
    ['reports an interrupt line that is none', 'IRQ raise x\nOK 0x1\n', /answered "IRQ raise x"/],
    ['answers nothing', 'OK\n', /answered "" to readl/],
    ['answers a number that is none', 'OK 12\n', /answered "12"/],
    ['answers a number with rubbish', 'OK 0x12zz\n', /answered "0x12zz"/],
    ['answers a number that no register has', 'OK 0xffffffffffffffff\n', /answered "0xffffffffffffffff"/],
    ['never ends its line', 'OK 0x'.padEnd(5000, '0'), /more than a line/],
    ['reports interrupts for ever', 'IRQ raise 1\n'.repeat(1000), /reports interrupts and does not answer/],
    ['says nothing', ' ', /did not answer readl 0x0 in 60 ms/],
  ])('gives up a QEMU that %s', (_, answer, message) => {
    says(answer);
    expect(() => qtest.number('readl 0x0')).toThrow(lost(message));
    expect(() => qtest.post('writel 0x0 0x0')).toThrow(lost(message));
    expect(() => qtest.check()).toThrow(lost(/it hurts/));
  });

  it('bounds the wait for an answer, whatever else is reported meanwhile', () => {
    const start = performance.now();
    expect(() => qtest.ask('endianness')).toThrow(lost(/in 60 ms/));
    const took = performance.now() - start;
    expect(took).toBeGreaterThanOrEqual(REPLY_TIMEOUT_MS - 1);
    expect(took).toBeLessThan(1000);
  });

  it('bounds the wait for a QEMU that takes nothing any more', () => {
    const start = performance.now();
    const line = 'x'.repeat(4 << 20);
    expect(() => qtest.ask(line)).toThrow(lost(/does not take/));
    expect(performance.now() - start).toBeLessThan(2000);
  });

  it('says that QEMU closed the connection', () => {
    peer.dispose();
    expect(() => qtest.ask('endianness')).toThrow(lost(/closed the connection.*it hurts/));
  });

  it('asks nothing once it was closed', () => {
    qtest.dispose();
    qtest.dispose();
    expect(() => qtest.ask('endianness')).toThrow(lost(/the connection was closed/));
  });

  it('writes numbers as QEMU reads them', () => {
    expect([0, 255, 0x8000_0000, 2 ** 45].map(hex)).toEqual(['0x0', '0xff', '0x80000000', '0x200000000000']);
  });
});
