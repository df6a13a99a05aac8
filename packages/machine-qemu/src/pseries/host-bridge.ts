import { DeviceError } from '@virtio-platform/core';
import type { DmaWindow } from '@virtio-platform/platform-pseries';
import type { DeviceTreeNode } from './device-tree.ts';
import { BRIDGE_ID } from './pseries-board.ts';

/** log2 of the page size of a default window: sPAPR fixes it. */
const PAGE_SHIFT = 12;
/** Cells of an address and of a size in `ibm,dma-window`, where the node does not say it (of_parse_dma_window). */
const DEFAULT_CELLS = 2;

/** What the firmware of a POWER guest tells of host bridge 0 and of the hypercalls. */
export interface HostBridgeFirmware {
  readonly defaultWindow: DmaWindow;
  /** Whether hypercalls on several TCEs exist (hcall-multi-tce). */
  readonly multiTce: boolean;
}

/** Reads the device tree as a guest's kernel does. Throws {@link DeviceError} where a property is missing. */
export function readHostBridge(root: DeviceTreeNode): HostBridgeFirmware {
  const [high, low] = BRIDGE_ID;
  const name = `pci@${high.toString(16)}${low.toString(16).padStart(8, '0')}`;
  const bridge = root.children.find((child) => child.name === name);
  const window = bridge?.properties.get('ibm,dma-window');
  if (bridge === undefined || window === undefined) throw missing(`${name} has no ibm,dma-window`);
  const count = (property: string): number => {
    const cells = bridge.properties.get(property);
    return cells?.length === 4 ? cellOf(cells, 0) : DEFAULT_CELLS;
  };
  const [ofAddress, ofSize] = [count('ibm,#dma-address-cells'), count('ibm,#dma-size-cells')];
  if (ofAddress > 2 || ofSize > 2 || window.length !== 4 * (1 + ofAddress + ofSize))
    throw missing(`ibm,dma-window of ${name} has ${window.length} bytes for ${1 + ofAddress + ofSize} cells`);
  const functions = root.children.find((child) => child.name === 'rtas')?.properties.get('ibm,hypertas-functions');
  return {
    defaultWindow: {
      liobn: cellOf(window, 0),
      base: numberOf(window, 1, ofAddress),
      size: Number(numberOf(window, 1 + ofAddress, ofSize)),
      pageShift: PAGE_SHIFT,
    },
    multiTce: textsOf(functions ?? new Uint8Array()).includes('hcall-multi-tce'),
  };
}

function cellOf(bytes: Uint8Array, index: number): number {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(4 * index);
}

function numberOf(bytes: Uint8Array, index: number, cells: number): bigint {
  let value = 0n;
  for (let i = 0; i < cells; i++) value = (value << 32n) | BigInt(cellOf(bytes, index + i));
  return value;
}

/** The texts of a property, each with a zero behind it. */
function textsOf(bytes: Uint8Array): string[] {
  return new TextDecoder().decode(bytes).split('\0');
}

function missing(what: string): DeviceError {
  return new DeviceError('ERR_DEVICE_REFUSED', `the device tree of QEMU lacks what its guest needs: ${what}`, {
    hint: 'QEMU builds it for its firmware: look at machine.program and machine.arguments',
  });
}
