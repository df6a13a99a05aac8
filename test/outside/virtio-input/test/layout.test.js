import { describe, expect, it } from 'vitest';
import { EV_KEY, EV_SYN, eventOf, keyOf } from '../src/layout.js';

describe('the events of a text', () => {
  it('press and release each key in turn, each with its SYN, and begin again', () => {
    const [a, space] = [keyOf('a'), keyOf(' ')];
    const events = Array.from({ length: 9 }, (_, index) => eventOf('a ', index));
    expect(events.map(({ type, code, value }) => [type, code, value])).toEqual([
      [EV_KEY, a, 1],
      [EV_SYN, 0, 0],
      [EV_KEY, a, 0],
      [EV_SYN, 0, 0],
      [EV_KEY, space, 1],
      [EV_SYN, 0, 0],
      [EV_KEY, space, 0],
      [EV_SYN, 0, 0],
      [EV_KEY, a, 1],
    ]);
  });

  it('name keys as Linux does', () => {
    expect(['q', 'p', 'a', 'l', 'z', 'm', ' '].map((character) => keyOf(character))).toEqual([
      16, 25, 30, 38, 44, 50, 57,
    ]);
  });
});
