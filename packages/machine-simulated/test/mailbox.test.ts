import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Command, Mailbox } from '../src/mailbox.ts';

/** Wakes each waiter again and again, and changes no word: as a wake-up that comes late, of the answer before. */
const WAKER = `
  const { parentPort, workerData } = require('node:worker_threads');
  const words = new Int32Array(workerData.buffer, 0, 128);
  const wake = () => { for (let i = 0; i < words.length; i++) Atomics.notify(words, i); };
  setInterval(wake, 1);
  parentPort.postMessage('runs');
`;
const TIMEOUT_MS = 60;

/** Calls `wait`, and returns what it returned and whether it took its time. */
function timed<T>(wait: () => T): { readonly result: T; readonly isWaited: boolean } {
  const start = performance.now();
  const result = wait();
  return { result, isWaited: performance.now() - start >= TIMEOUT_MS - 1 };
}

describe('Mailbox: a wake-up that belongs to an earlier wait', () => {
  const mailbox = new Mailbox();
  let waker: Worker;
  beforeAll(async () => {
    waker = new Worker(WAKER, { eval: true, workerData: { buffer: mailbox.buffer } });
    await once(waker, 'message');
  });
  afterAll(async () => {
    await waker.terminate();
  });

  it('is no answer to a command', () => {
    expect(timed(() => mailbox.ask(Command.ReadStatus, TIMEOUT_MS))).toEqual({ result: false, isWaited: true });
  });

  it('is no interrupt, and no timeout', () => {
    expect(timed(() => mailbox.waitForInterrupt(0, TIMEOUT_MS))).toEqual({ result: 0, isWaited: true });
  });
});
