import { GuestMemory } from '@virtio-platform/core/memory';
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bindMachine } from '@virtio-platform/conformance/testing';
import { describe, expect, it } from 'vitest';
import plugin from '../src/index.ts';
import { createMachineMemory, firstDriverAddress, memoryHole } from '../src/machine-memory.ts';
import { qemuOptionsSchema, qemuProgram } from '../src/options.ts';
import { qemuArguments } from '../src/qemu-process.ts';
import { QemuMachine } from '../src/qemu-machine.ts';
import { buildHaltingFirmware } from '../src/board/x86-board.ts';

const OPTIONS = qemuOptionsSchema.parse({ board: 'q35' });

describe('the options of the plugin', () => {
  it('need a board, and have defaults for the rest', () => {
    expect(OPTIONS).toEqual({
      board: 'q35',
      iommu: 'none',
      interrupts: 'msix',
      arguments: [],
      trace: [],
      startTimeout: 20_000,
      replyTimeout: 5000,
    });
    expect(qemuProgram({ board: 'pc' })).toBe('qemu-system-x86_64');
    expect(qemuProgram({ board: 'pseries' })).toBe('qemu-system-ppc64');
    expect(qemuProgram({ board: 'microvm' })).toBe('qemu-system-x86_64');
    expect(qemuProgram({ board: 'virt' })).toBe('qemu-system-aarch64');
    expect(qemuProgram({ board: 'pc', program: '/opt/qemu' })).toBe('/opt/qemu');
    expect(qemuOptionsSchema.parse({ board: 'microvm', slot: 23 }).slot).toBe(23);
    expect(qemuOptionsSchema.parse({ board: 'virt', slot: 31 }).slot).toBe(31);
  });

  it.each([
    ['mmio', { board: 'virt' }],
    ['mmio', { board: 'virt', bus: 'mmio' }],
    ['pci', { board: 'virt', bus: 'pci' }],
    ['pci', { board: 'virt', iommu: 'virtio' }],
    ['pci', { board: 'virt', iommu: 'smmuv3' }],
    ['mmio', { board: 'microvm' }],
    ['pci', { board: 'q35', iommu: 'intel' }],
    ['pci', { board: 'pseries' }],
  ])('put the device on %s with %j', (bus, options) => {
    expect(plugin.transport!(qemuOptionsSchema.parse(options))).toBe(bus);
  });

  it.each([
    ['options without a board', {}],
    ['a board that the machine does not support', { board: 'isapc' }],
    ['an Intel IOMMU on microvm', { board: 'microvm', iommu: 'intel' }],
    ['a virtio-iommu before a slot of virtio-mmio', { board: 'virt', iommu: 'virtio', bus: 'mmio' }],
    ['a virtio-iommu on microvm', { board: 'microvm', iommu: 'virtio' }],
    ['PCI on microvm', { board: 'microvm', bus: 'pci' }],
    ['virtio-mmio on q35', { board: 'q35', bus: 'mmio' }],
    ['a slot beside PCI', { board: 'virt', bus: 'pci', slot: 0 }],
    ['a slot on a board with PCI', { board: 'q35', slot: 0 }],
    ['a slot that microvm does not have', { board: 'microvm', slot: 24 }],
    ['a slot that virt does not have', { board: 'virt', slot: 32 }],
    ['a slot that is no number', { board: 'virt', slot: 1.5 }],
    ['an SMMUv3 on q35', { board: 'q35', iommu: 'smmuv3' }],
    ['an SMMUv3 before a slot of virtio-mmio', { board: 'virt', iommu: 'smmuv3', bus: 'mmio' }],
    ['an Intel IOMMU on pc', { board: 'pc', iommu: 'intel' }],
    ['an Intel IOMMU on pseries', { board: 'pseries', iommu: 'intel' }],
    ['an IOMMU that QEMU does not have', { board: 'q35', iommu: 'arm' }],
    ['an AMD IOMMU on pc', { board: 'pc', iommu: 'amd' }],
    ['properties of an Intel IOMMU beside an AMD one', { board: 'q35', iommu: 'amd', intelIommu: {} }],
    ['properties of an IOMMU that is not there', { board: 'q35', intelIommu: { cachingMode: true } }],
    ['properties of another IOMMU', { board: 'q35', iommu: 'virtio', intelIommu: {} }],
    ['properties of a virtio-iommu that is not there', { board: 'q35', iommu: 'intel', virtioIommu: {} }],
    ['57 bits, which QEMU does not have', { board: 'q35', iommu: 'intel', intelIommu: { addressWidth: 57 } }],
    ['a property that a virtio-iommu does not have', { board: 'q35', iommu: 'virtio', virtioIommu: { granule: 4096 } }],
    ['an interrupt mode that does not exist', { board: 'pc', interrupts: 'msi' }],
    ['an unknown key', { board: 'pc', accel: 'kvm' }],
    ['an empty argument', { board: 'pc', arguments: [''] }],
    ['more than 64 arguments', { board: 'pc', arguments: Array(65).fill('-S') }],
    ['an argument that is not a string', { board: 'pc', arguments: [7] }],
    ['a timeout of 0', { board: 'pc', replyTimeout: 0 }],
    ['a timeout of hours', { board: 'pc', startTimeout: 600_001 }],
    ['a program without a name', { board: 'pc', program: '' }],
    ['a back-end that is not told its socket', { board: 'pc', backEnd: ['dpdk-testpmd'] }],
  ])('refuse %s', (_, options) => {
    expect(qemuOptionsSchema.safeParse(options).success).toBe(false);
  });
});

describe('the plugin', () => {
  it('binds the machine', () => {
    expect(bindMachine(plugin, OPTIONS).machine).toBeInstanceOf(QemuMachine);
  });

  it.each([
    ['/nonexistent/qemu-system-x86_64', 'qemu-system-x86'],
    ['/nonexistent/qemu-system-ppc64', 'qemu-system-ppc'],
    ['/nonexistent/qemu', 'give its path'],
  ])('reports how to install %s', async (program, fix) => {
    expect(await plugin.missing({ ...OPTIONS, program })).toEqual([
      { what: `the program ${program}`, fix: expect.stringContaining(fix) },
    ]);
  });

  it('reports nothing missing where the program is installed', async () => {
    expect(await plugin.missing({ ...OPTIONS, program: process.execPath })).toEqual([]);
  });

  it('reports how to install a back-end', async () => {
    const options = { ...OPTIONS, program: process.execPath, backEnd: ['/nonexistent/dpdk-testpmd', '{socket}'] };
    expect(await plugin.missing(options)).toMatchObject([{ what: 'the program /nonexistent/dpdk-testpmd' }]);
    expect(plugin.programs!(options)).toEqual([process.execPath, '/nonexistent/dpdk-testpmd']);
  });

  it('lists the programs of its boards, and the package of a missing program', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'virtio-platform-'));
    const before = process.env['PATH'];
    try {
      symlinkSync(process.execPath, join(folder, 'qemu-system-ppc64'));
      process.env['PATH'] = folder;
      expect(await plugin.discover!()).toEqual({
        missing: [],
        devices: [
          {
            name: 'qemu-system-x86_64',
            what: "QEMU's pc, q35, microvm",
            details: {},
            missing: [
              {
                what: 'the program qemu-system-x86_64',
                fix: 'apt-get install qemu-system-x86 (Debian and Ubuntu)',
              },
            ],
          },
          { name: 'qemu-system-ppc64', what: "QEMU's pseries", details: {}, missing: [] },
          {
            name: 'qemu-system-aarch64',
            what: "QEMU's virt",
            details: {},
            missing: [
              {
                what: 'the program qemu-system-aarch64',
                fix: 'apt-get install qemu-system-arm (Debian and Ubuntu)',
              },
            ],
          },
        ],
      });
    } finally {
      process.env['PATH'] = before;
      rmSync(folder, { recursive: true });
    }
  });
});

describe('createMachineMemory', () => {
  it.each([
    ['pc', 0],
    ['pc', 1 << 20],
    ['pc', (16 << 20) + 4096],
    ['pc', 2 ** 31 + 2 ** 20],
    ['q35', 2 ** 32],
    ['pseries', 16 << 20],
    ['pseries', 2 ** 28 + 2 ** 20],
    ['pseries', 2 ** 33 + 2 ** 28],
    ['microvm', 2 ** 31 + 2 ** 20],
    ['virt', (64 << 20) + 4096],
    ['virt', 2 ** 31 + 2 ** 20],
  ] as const)('refuses %s with %d bytes, and names the supported sizes', (board, size) => {
    expect(() => createMachineMemory(board, size, false)).toThrow(
      expect.objectContaining({ code: 'ERR_MACHINE_MEMORY', hint: expect.stringContaining('a multiple of') }),
    );
  });

  it.each([false, true])('has the requested size, and is zero (protected: %s)', (isProtected) => {
    const memory = createMachineMemory('pc', 4 << 20, isProtected);
    expect(memory.buffer.byteLength).toBe(4 << 20);
    expect(new Uint8Array(memory.buffer).every((byte) => byte === 0)).toBe(true);
    memory.dispose();
  });
});

describe('the memory of virt', () => {
  it('begins at 1 GiB, and the driver gets none below', () => {
    const hole = memoryHole('virt', 16 << 20);
    expect([hole, firstDriverAddress('virt'), firstDriverAddress('microvm')]).toEqual([
      { address: 0, length: 2 ** 30 },
      2 ** 30 + 2 ** 20,
      2 ** 20,
    ]);
    const backing = createMachineMemory('virt', 16 << 20, false);
    try {
      const memory = new GuestMemory(backing.buffer, firstDriverAddress('virt'), hole);
      expect([memory.size, memory.allocate(4096)]).toEqual([2 ** 30 + (16 << 20), 2 ** 30 + 2 ** 20]);
      expect([memory.contains(4096, 4096), memory.contains(2 ** 30, 16 << 20)]).toEqual([false, true]);
    } finally {
      backing.dispose();
    }
  });
});

describe('qemuArguments', () => {
  it('have an IOMMU only where the options have one, and inherited memory', () => {
    expect(qemuArguments(OPTIONS, 64 << 20, '/firmware').join(' ')).not.toContain('iommu');
    const args = qemuArguments({ ...OPTIONS, iommu: 'intel' }, 64 << 20, '/firmware');
    expect(JSON.parse(args.at(-1)!)).toEqual({
      driver: 'intel-iommu',
      intremap: 'off',
      'aw-bits': 39,
      'caching-mode': false,
      'dma-drain': true,
      pt: true,
      'x-scalable-mode': false,
      'snoop-control': false,
    });
    const remapping = { iommu: 'intel', intelIommu: { interruptRemapping: true } };
    const remappingArgs = qemuArguments(qemuOptionsSchema.parse({ board: 'q35', ...remapping }), 64 << 20, '/firmware');
    expect(JSON.parse(remappingArgs.at(-1)!)).toMatchObject({ driver: 'intel-iommu', intremap: 'on' });
    const arm = qemuArguments(qemuOptionsSchema.parse({ board: 'virt', iommu: 'smmuv3' }), 64 << 20, '/firmware');
    expect(arm[arm.indexOf('-machine') + 1]).toBe('virt,iommu=smmuv3,memory-backend=memory');
    expect(args[args.indexOf('-m') + 1]).toBe('64M');
    expect(JSON.parse(args[args.indexOf('-object') + 1]!)).toMatchObject({ size: 64 << 20, share: true });
    expect(args[args.indexOf('-bios') + 1]).toBe('/firmware');
  });
});

describe('buildHaltingFirmware', () => {
  it('halts the processor at its start, and again after a wake-up', () => {
    const image = buildHaltingFirmware();
    expect(image).toHaveLength(0x1_0000);
    // hlt; jmp to the hlt.
    expect([...image.subarray(0xfff0, 0xfff4)]).toEqual([0xf4, 0xeb, 0xfd, 0]);
  });
});
