import { describe, expect, it } from 'vitest';
import { ReadableWait, UnixSocket } from '../src/index.ts';

/** Whether a promise is settled after the event loop ran for a while. */
async function isSettled(promise: Promise<void>): Promise<boolean> {
  const later = new Promise<boolean>((resolve) => setTimeout(() => resolve(false), 30));
  return await Promise.race([promise.then(() => true), later]);
}

describe('ReadableWait', () => {
  it('waits until bytes are there, reads none of them, and waits again once they were read', async () => {
    const [here, there] = UnixSocket.pair();
    const wait = new ReadableWait(here.descriptor);
    const first = wait.wait();
    expect(await isSettled(first)).toBe(false);
    there.send(Uint8Array.of(1, 2), [], 1000);
    await first;
    await wait.wait();
    const bytes = new Uint8Array(2);
    expect([here.receive(bytes, 0), ...bytes]).toEqual(['done', 1, 2]);
    const second = wait.wait();
    expect(await isSettled(second)).toBe(false);
    there.dispose();
    await second;
    wait.dispose();
    here.dispose();
  });

  it('is ended by another call, at once or before it began', async () => {
    const [here, there] = UnixSocket.pair();
    const wait = new ReadableWait(here.descriptor);
    const first = wait.wait();
    wait.wake();
    await first;
    wait.wake();
    await wait.wait();
    const third = wait.wait();
    expect(await isSettled(third)).toBe(false);
    wait.dispose();
    await third;
    await wait.wait();
    for (const socket of [here, there]) socket.dispose();
  });

  it('works for more descriptors than Node has threads, each by itself', async () => {
    const pairs = Array.from({ length: 12 }, () => UnixSocket.pair());
    const waits = pairs.map(([here]) => new ReadableWait(here.descriptor));
    const woken: number[] = [];
    const all = waits.map((wait, i) => wait.wait().then(() => woken.push(i)));
    for (const i of [7, 0, 11]) {
      pairs[i]![1].send(new Uint8Array(1), [], 1000);
      await all[i];
    }
    expect(woken).toEqual([7, 0, 11]);
    for (const wait of waits) wait.dispose();
    await Promise.all(all);
    for (const socket of pairs.flat()) socket.dispose();
  });
});
