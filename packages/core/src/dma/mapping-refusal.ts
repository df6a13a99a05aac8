import { DmaError } from '../errors/coded-error.ts';
import { DMA_TOO_LARGE, DMA_UNREACHABLE } from './dma-mapping.ts';

/**
 * The error for a buffer that cannot be mapped, and will not be: `ERR_DMA_EXHAUSTED` where there is no space for it,
 * `ERR_DMA_RANGE` where the platform maps no such buffer. `what` says which one, as `not even one request can be
 * mapped`; `reason` is what `DmaMapping.map` returned.
 */
export function mappingRefusal(what: string, reason: number): DmaError {
  if (reason === DMA_UNREACHABLE) {
    return new DmaError(
      'ERR_DMA_RANGE',
      `${what}: the platform lets the device reach no such memory (reason ${reason})`,
      {
        hint:
          'map buffers in pools (driver.buffers: premapped), which fill whole pages of the platform and lie ' +
          'below what the device reaches; or have the platform map them anyway, where it has an option for that',
      },
    );
  }
  if (reason === DMA_TOO_LARGE) {
    return new DmaError('ERR_DMA_RANGE', `${what}: it is longer than one mapping may be (reason ${reason})`, {
      hint: 'ask for smaller blocks, or give the platform larger mappings',
    });
  }
  return new DmaError('ERR_DMA_EXHAUSTED', `${what} (reason ${reason})`, {
    hint:
      'give the platform a larger window or pool, or room for more mappings (platform.entryLimit, ' +
      'platform.unit.mappings), or ask for smaller blocks or fewer queues',
  });
}
