import { describe, expect, it } from 'vitest';
import { watchCalls } from '../../src/memory/translated-memory.ts';
class Lock {
  readonly page = { size: 4096 };
  readonly inner: Lock | undefined;
  #isOpen = false;

  constructor(inner?: Lock) {
    this.inner = inner;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  open(key: number): number {
    if (key < 0) throw new RangeError('no such key');
    this.#isOpen = true;
    return key + 1;
  }
}

describe('watchCalls', () => {
  it('passes calls on, and is called when they are over, however they end', () => {
    let over = 0;
    const lock = new Lock();
    const watched = watchCalls(lock, () => {
      over++;
      expect(lock.isOpen).toBe(true);
    });
    expect(watched.open(4)).toBe(5);
    expect(over).toBe(1);
    expect(() => watched.open(-1)).toThrow(RangeError);
    expect(over).toBe(2);
    expect(watched.isOpen).toBe(true);
    expect(over).toBe(2);
  });

  it('watches what is handed out by name, and leaves data as it is', () => {
    let over = 0;
    const lock = new Lock(new Lock());
    const watched = watchCalls(lock, () => over++);
    watched.inner!.open(1);
    expect(over).toBe(1);
    expect(watched.page).toBe(lock.page);
    expect(watched.inner!.inner).toBeUndefined();
  });
});
