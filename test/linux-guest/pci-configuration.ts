import type { DebianArchitecture } from './debian-packages.ts';
import type { QtestSession } from './qtest-session.ts';

/** Configuration space of the functions on bus 0, in words of 32 bits, and where memory behind their registers is. */
export interface PciConfiguration {
  read(slot: number, offset: number): Promise<number>;
  write(slot: number, offset: number, value: number): Promise<void>;
  /** What is added to a bus address to reach it. */
  readonly memoryBase: number;
  /** A bus address at which no device is: registers are put there while they are looked at, one device at a time. */
  readonly freeAddress: number;
}

/** The address and data ports of a PC. */
const [ADDRESS_PORT, DATA_PORT] = ['0xcf8', '0xcfc'];
/**
 * The unit identifier (BUID) of the only PCI host of a pseries machine, and where its 32-bit window is in system
 * memory.
 */
const BUID = [0x0800_0000, 0x2000_0000] as const;
const PSERIES_WINDOW = 0x2000_0000_0000;
/**
 * Where configuration space is in system memory on the board for Arm, 4 KiB for each of the eight functions of a slot,
 * and where its 32-bit window is (QEMU hw/arm/virt.c, VIRT_HIGH_PCIE_ECAM and VIRT_PCIE_MMIO).
 */
const [ARM_CONFIGURATION, ARM_WINDOW] = [0x40_1000_0000, 0x1000_0000];
const ARM_SLOT_BYTES = 8 * 4096;
/** Memory that the arguments and results of an RTAS call are in: memory that nothing else uses. */
const [RTAS_ARGUMENTS, RTAS_RESULTS] = [0x10_0000, 0x10_1000];

/** That of the machine on which a guest of this architecture runs. */
export function pciConfiguration(architecture: DebianArchitecture, session: QtestSession): PciConfiguration {
  return MACHINES[architecture](session);
}

const MACHINES: Readonly<Record<DebianArchitecture, (session: QtestSession) => PciConfiguration>> = {
  amd64: pcConfiguration,
  arm64: armConfiguration,
  ppc64el: pseriesConfiguration,
};

function pcConfiguration(session: QtestSession): PciConfiguration {
  const select = async (slot: number, offset: number): Promise<void> => {
    const address = (0x8000_0000 | functionAddress(slot, offset)) >>> 0;
    await session.ask(`outl ${ADDRESS_PORT} 0x${address.toString(16)}`);
  };
  return {
    memoryBase: 0,
    freeAddress: 0xe000_0000,
    async read(slot, offset) {
      await select(slot, offset);
      return Number(await session.ask(`inl ${DATA_PORT}`));
    },
    async write(slot, offset, value) {
      await select(slot, offset);
      await session.ask(`outl ${DATA_PORT} 0x${value.toString(16)}`);
    },
  };
}

function armConfiguration(session: QtestSession): PciConfiguration {
  return {
    memoryBase: 0,
    freeAddress: ARM_WINDOW,
    async read(slot, offset) {
      return (await session.readMemory(armAddress(slot, offset), 4)).readUInt32LE();
    },
    async write(slot, offset, value) {
      const bytes = Buffer.alloc(4);
      bytes.writeUInt32LE(value);
      await session.writeMemory(armAddress(slot, offset), bytes);
    },
  };
}

function pseriesConfiguration(session: QtestSession): PciConfiguration {
  /** Arguments and results are words in big-endian; the first result is the status. */
  const call = async (name: string, results: number, ...values: readonly number[]): Promise<Buffer> => {
    await session.writeMemory(RTAS_ARGUMENTS, bigEndian(values));
    const [given, taken] = [RTAS_ARGUMENTS.toString(16), RTAS_RESULTS.toString(16)];
    await session.ask(`rtas ${name} ${values.length} 0x${given} ${results} 0x${taken}`);
    const words = await session.readMemory(RTAS_RESULTS, results * 4);
    if (words.readInt32BE(0) !== 0) throw new Error(`${name} failed with status ${words.readInt32BE(0)}`);
    return words;
  };
  return {
    memoryBase: PSERIES_WINDOW,
    freeAddress: 0x8000_0000,
    async read(slot, offset) {
      return (await call('ibm,read-pci-config', 2, functionAddress(slot, offset), ...BUID, 4)).readUInt32BE(4);
    },
    async write(slot, offset, value) {
      await call('ibm,write-pci-config', 1, functionAddress(slot, offset), ...BUID, 4, value);
    },
  };
}

/** Of the first function in a slot of bus 0. */
function armAddress(slot: number, offset: number): number {
  return ARM_CONFIGURATION + slot * ARM_SLOT_BYTES + offset;
}

/** As a PC's ports and a pseries machine's firmware take it, of the same function. */
function functionAddress(slot: number, offset: number): number {
  return (slot << 11) | offset;
}

function bigEndian(values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4);
  for (const [index, value] of values.entries()) bytes.writeUInt32BE(value >>> 0, index * 4);
  return bytes;
}
