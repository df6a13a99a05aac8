import { describe, expect, it } from 'vitest';
import { parseTraceLine } from '../src/qemu-trace.ts';

describe('parseTraceLine', () => {
  it('reads the lines of QEMU 7.2 and of later versions', () => {
    const text = 'virtqueue_pop vq 0x55 elem 0x56 in_num 1 out_num 2';
    const expected = { wallMs: 1_795_981_423_925.305, text };
    expect(parseTraceLine(`6466@1795981423.925305:${text}`)).toEqual(expected);
    expect(parseTraceLine(`1795981423.925305:${text}`)).toEqual(expected);
    expect(parseTraceLine('6466@1795981423.000001:vtd_context_cache_reset ')?.text).toBe('vtd_context_cache_reset');
  });

  it('knows what is no event', () => {
    for (const line of ['', 'Invalid read at addr 0x0', '6466@1795981423:virtqueue_pop', '1.5:virtqueue_pop'])
      expect(parseTraceLine(line)).toBeUndefined();
  });
});
