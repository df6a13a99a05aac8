import type { BootedMachine, Machine } from '@virtio-platform/core';

/** Boots a machine, gives it to `use`, and disposes it on every way out. */
export async function withMachine(
  machine: Machine,
  use: (booted: BootedMachine) => void | Promise<void>,
): Promise<void> {
  const booted = await machine.boot();
  try {
    await use(booted);
  } finally {
    await booted.dispose();
  }
}
