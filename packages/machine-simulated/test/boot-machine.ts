import type { BootedMachine } from '@virtio-platform/core';
import { onTestFinished } from 'vitest';
import { testMachine } from './test-machine.ts';

/** Boots the machine of {@link testMachine} and ends it after the test. Call it in a test. */
export async function bootMachine(options: Parameters<typeof testMachine>[0] = {}): Promise<BootedMachine> {
  const machine = await testMachine(options).boot();
  onTestFinished(() => machine.dispose());
  return machine;
}
