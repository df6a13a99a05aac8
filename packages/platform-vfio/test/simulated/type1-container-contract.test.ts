import { GuestMemory, PAGE_SIZE } from '@virtio-platform/core/memory';
import {
  COMPAT_CONTAINER_CHECKS,
  IoPageTable,
  SimulatedCompatContainer,
  SimulatedType1Container,
  TYPE1_CONTAINER_CHECKS,
  vfioOptionsSchema,
} from '@virtio-platform/platform-vfio';
import { describe, expect, it } from 'vitest';

const MEMORY = 2048 * PAGE_SIZE;

describe.each(['type1', 'type1v2'] as const)('SimulatedType1Container of %s, as the kernel’s own', (type) => {
  const checks = TYPE1_CONTAINER_CHECKS.filter((check) => check.type === undefined || check.type === type);

  // oxlint-disable-next-line vitest/expect-expect -- a check asserts by itself
  it.each(checks.map(({ name, run }) => [name, run] as const))('%s', (_name, run) => {
    const options = vfioOptionsSchema.parse({ container: type, memoryLockLimit: MEMORY / 2, entryLimit: 512 });
    const memory = new GuestMemory(new SharedArrayBuffer(MEMORY));
    const table = IoPageTable.create(options.addressWidth);
    run({ container: new SimulatedType1Container(type, memory, table, options), memorySize: memory.size });
  });
});

describe.each(['iommufd-type1', 'iommufd-type1v2'] as const)('SimulatedCompatContainer of %s', (type) => {
  const checks = COMPAT_CONTAINER_CHECKS.filter((check) => check.type === undefined || check.type === type);

  // oxlint-disable-next-line vitest/expect-expect -- a check asserts by itself
  it.each(checks.map(({ name, run }) => [name, run] as const))('%s', (_name, run) => {
    const options = vfioOptionsSchema.parse({ container: type, memoryLockLimit: MEMORY / 2 });
    const memory = new GuestMemory(new SharedArrayBuffer(MEMORY));
    const table = IoPageTable.create(options.addressWidth);
    run({ container: new SimulatedCompatContainer(type, memory, table, options), memorySize: memory.size });
  });

  it('breaks rules of a container of VFIO, which is why its own are needed', () => {
    const broken = TYPE1_CONTAINER_CHECKS.filter(({ run, type: only }) => {
      if (only !== undefined) return false;
      const options = vfioOptionsSchema.parse({ container: type, memoryLockLimit: MEMORY / 2 });
      const memory = new GuestMemory(new SharedArrayBuffer(MEMORY));
      const table = IoPageTable.create(options.addressWidth);
      try {
        run({ container: new SimulatedCompatContainer(type, memory, table, options), memorySize: memory.size });
        return false;
      } catch {
        return true;
      }
    });
    const names = broken.map(({ name }) => name);
    expect(names).toContain('gives EINVAL for an I/O virtual address that wraps');
    expect(names).toContain('gives ENOSPC at its limit of mappings');
    expect(names).toContain('invalidates the memory of all mappings, and unmaps none');
  });
});

describe('TYPE1_CONTAINER_CHECKS', () => {
  it('have names of their own, and some for each version', () => {
    expect(new Set(TYPE1_CONTAINER_CHECKS.map(({ name }) => name)).size).toBe(TYPE1_CONTAINER_CHECKS.length);
    for (const type of ['type1', 'type1v2'])
      expect(TYPE1_CONTAINER_CHECKS.filter((check) => check.type === type).length).toBeGreaterThan(4);
  });
});
