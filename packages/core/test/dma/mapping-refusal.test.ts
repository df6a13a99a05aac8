import { DMA_NO_SPACE, DMA_TOO_LARGE, DMA_UNREACHABLE, mappingRefusal } from '@virtio-platform/core/dma';
import { describe, expect, it } from 'vitest';

describe('mappingRefusal', () => {
  it.each([
    [DMA_NO_SPACE, 'ERR_DMA_EXHAUSTED', 'a request cannot be mapped (reason -1)', /larger window or pool/],
    [
      DMA_TOO_LARGE,
      'ERR_DMA_RANGE',
      'a request cannot be mapped: it is longer than one mapping may be (reason -2)',
      /smaller/,
    ],
    [
      DMA_UNREACHABLE,
      'ERR_DMA_RANGE',
      'a request cannot be mapped: the platform lets the device reach no such memory (reason -3)',
      /buffers: premapped/,
    ],
  ])('says of reason %d what it means', (reason, code, message, hint) => {
    const error = mappingRefusal('a request cannot be mapped', reason);
    expect(error).toMatchObject({ code, message, hint: expect.stringMatching(hint) });
  });
});
