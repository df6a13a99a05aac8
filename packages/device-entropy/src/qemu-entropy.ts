import { CodedError, type QemuDevice } from '@virtio-platform/core';
import { ENTROPY_PERIOD } from './entropy-limits.ts';
import type { EntropySettings } from './entropy-settings.ts';

/** The device of QEMU, over its own random number generator. */
export const qemuEntropy: QemuDevice<EntropySettings> = {
  arguments({ seed, bufferBytes, maxBytes, period = ENTROPY_PERIOD }) {
    if (seed !== undefined) refuse('does not have a seed: its bytes are random');
    if (bufferBytes !== undefined) refuse('fills each buffer: it has no bufferBytes');
    return {
      before: ['-object', 'rng-builtin,id=random'],
      device: {
        driver: 'virtio-rng-pci',
        rng: 'random',
        ...(maxBytes === undefined ? {} : { 'max-bytes': maxBytes, period }),
      },
    };
  },
};

function refuse(problem: string): never {
  throw new CodedError('ERR_MACHINE_DEVICE', `the device of QEMU ${problem}`, {
    hint: 'leave it out of the device section, or use @virtio-platform/machine-simulated',
  });
}
