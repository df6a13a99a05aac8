import { describe, expect, it } from 'vitest';
import { watchGeneration } from '../../src/address-space/watched-generation.ts';

class Table {
  counted = 4;
  get generation(): number {
    return this.counted;
  }
  get seenGeneration(): number {
    return 3;
  }
}

class Further extends Table {
  override get generation(): number {
    return super.generation + 10;
  }
}

class Both extends Further {
  override get seenGeneration(): number {
    return 13;
  }
}

describe('the generation that a device looks at for each buffer', () => {
  it('is the fast look where there is one', () => {
    const table = new Table();
    expect(watchGeneration(table)).toBe(table);
    expect(watchGeneration(table).seenGeneration).toBe(3);
    expect(watchGeneration({ generation: 5, seenGeneration: 4 }).seenGeneration).toBe(4);
    expect(watchGeneration(new Both()).seenGeneration).toBe(13);
  });

  it('is the generation where there is none', () => {
    const table = { generation: 5 };
    const watched = watchGeneration(table);
    table.generation = 6;
    expect(watched.seenGeneration).toBe(6);
  });

  it('is the generation where a subclass, or one object, counts otherwise', () => {
    const further = new Further();
    const watched = watchGeneration(further);
    expect(watched.seenGeneration).toBe(14);
    further.counted = 5;
    expect(watched.seenGeneration).toBe(15);
    class WithoutOverride extends Further {}
    expect(watchGeneration(new WithoutOverride()).seenGeneration).toBe(14);
    const one = Object.defineProperty(new Table(), 'generation', { value: 7 });
    expect(watchGeneration(one).seenGeneration).toBe(7);
  });
});
