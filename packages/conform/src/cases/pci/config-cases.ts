import type { ConformBench } from '@virtio-platform/core';
import type { AccessWidth } from '@virtio-platform/core/device';
import type { PciBench, Structure } from '../../pci/pci-bench.ts';
import type { PciCase } from '../../pci/pci-case.ts';
import { CFG_TYPE } from '../../pci/virtio-capability.ts';

const WIDTHS: readonly AccessWidth[] = [1, 2, 4];

/** The device configuration. Skips the case where the device has none. */
function configuration(bench: ConformBench, pci: PciBench): Structure {
  if (!pci.capabilities.some(({ type }) => type === CFG_TYPE.device)) bench.skip('the device has no configuration');
  return pci.structure(CFG_TYPE.device);
}

/** Fields that the device has, of a width. */
function fieldsOf(bench: ConformBench, width: number): readonly (readonly [string, number])[] {
  return Object.entries(bench.configTable).flatMap(([name, { offset, width: bytes, feature }]) => {
    const isThere = feature === undefined || [feature].flat().some((bit) => bench.device.offered.has(bit));
    return isThere && bytes === width ? [[name, offset] as const] : [];
  });
}

/** The device configuration by its registers (sections 4.1.3 and 4.1.4.6). */
export const PCI_CONFIG_CASES: readonly PciCase[] = [
  // Bytes are what the wider accesses are held against.
  ...WIDTHS.slice(1).map((width): PciCase => ({
    id: `pci/config/fields-of-${8 * width}-bits`,
    clause: '4.1.3.1',
    level: 'MUST',
    title: `has in each field of ${8 * width} bits, by one access, what its bytes are`,
    run: async (bench, pci) => {
      await bench.start();
      const registers = configuration(bench, pci);
      const fields = fieldsOf(bench, width);
      if (fields.length === 0) bench.skip(`it has no field of ${8 * width} bits`);
      for (const [name, offset] of fields) {
        const bytes = new Uint8Array(width);
        bench.transport.readConfig(offset, bytes);
        const right = bytes.reduceRight((value, byte) => value * 256 + byte, 0);
        bench.equal(name, registers.read(offset, width) >>> 0, right);
      }
    },
  })),
  ...(['low', 'high'] as const).map((half, i): PciCase => ({
    id: `pci/config/${half}-half-of-64-bits`,
    clause: '4.1.3.2',
    level: 'MUST',
    title: `lets a driver read the ${half} half of a field of 64 bits by itself`,
    run: async (bench, pci) => {
      await bench.start();
      const registers = configuration(bench, pci);
      const fields = fieldsOf(bench, 8);
      if (fields.length === 0) bench.skip('it has no field of 64 bits');
      for (const [name, offset] of fields) {
        const bytes = new Uint8Array(4);
        bench.transport.readConfig(offset + 4 * i, bytes);
        const right = bytes.reduceRight((value, byte) => value * 256 + byte, 0);
        bench.equal(`the ${half} half of ${name}`, registers.read(offset + 4 * i, 4) >>> 0, right);
      }
    },
  })),
  ...WIDTHS.flatMap((width) =>
    (['read', 'write'] as const).map((what): PciCase => ({
      id: `pci/config/${what}-at-end-by-${8 * width}`,
      clause: '4.1.4.6',
      level: 'MUST',
      title: `survives a ${what} of the last ${8 * width} bits of its device structure`,
      isHostile: true,
      run: async (bench, pci) => {
        await bench.start();
        const registers = configuration(bench, pci);
        const { bytes } = registers.capability;
        if (bytes < width) bench.skip('its device structure is shorter');
        const at = Math.floor(bytes / width) * width - width;
        if (what === 'read') registers.read(at, width);
        else registers.write(at, width, 0x5a);
        await bench.settle();
      },
    })),
  ),
  ...WIDTHS.map((width): PciCase => ({
    id: `pci/config/write-everywhere-by-${8 * width}`,
    clause: '4.1.3.1',
    level: 'MUST',
    title: `survives writes of ${8 * width} bits to all of its device configuration`,
    isHostile: true,
    run: async (bench, pci) => {
      await bench.start();
      const registers = configuration(bench, pci);
      for (let at = 0; at + width <= Math.min(64, registers.capability.bytes); at += width)
        registers.write(at, width, registers.read(at, width));
      await bench.settle();
    },
  })),
];
