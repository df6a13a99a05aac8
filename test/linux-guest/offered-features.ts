import type { FeatureCase } from './feature-cases.ts';
import { emulatorOf } from './guest-files.ts';
import { slotAddress } from './mmio-slots.ts';
import { pciConfiguration, type PciConfiguration } from './pci-configuration.ts';
import { QtestSession } from './qtest-session.ts';

const COMMAND = 0x04;
const FIRST_BAR = 0x10;
const CAPABILITIES = 0x34;
const [IO_SPACE, MEMORY_SPACE] = [1, 2];
/** Where a device with a legacy interface is put while it is looked at, one at a time. */
const IO_ADDRESS = 0xc000;

/** The capability of the common configuration: vendor specific, type 1 (specification 1.4 section 4.1.4). */
const [VENDOR_SPECIFIC, COMMON_CONFIGURATION] = [9, 1];
/** More than any configuration space has. */
const MOST_CAPABILITIES = 48;

/** The registers DeviceFeatures and DeviceFeaturesSel on virtio-mmio (section 4.2.2). */
const [MMIO_FEATURES, MMIO_FEATURES_SELECT] = [0x10, 0x14];

/** Reads what each device of a case offers, without a driver: in the order of the case's devices. */
export async function readOfferedFeatures(from: FeatureCase): Promise<bigint[]> {
  return await QtestSession.use([emulatorOf(from.architecture), ...from.arguments], async (session) => {
    const read = from.bus === 'pci' ? pciReader(from, session) : mmioReader(from, session);
    const offered: bigint[] = [];
    for (const { slot } of from.devices) offered.push(await read(slot));
    return offered;
  });
}

/** Reads what the device in a slot offers. */
type OfferReader = (slot: number) => Promise<bigint>;

function pciReader(from: FeatureCase, session: QtestSession): OfferReader {
  const configuration = pciConfiguration(from.architecture, session);
  const read = from.interface === 'legacy' ? legacyFeatures : modernFeatures;
  return async (slot) => await read(session, configuration, slot);
}

/** The legacy interface has one word of features (section 4.2.4). */
function mmioReader(from: FeatureCase, session: QtestSession): OfferReader {
  const halves = from.interface === 'legacy' ? [0] : [0, 1];
  return async (slot) => {
    const registers = slotAddress(from.architecture, slot);
    return await readHalves(session, halves, registers + MMIO_FEATURES_SELECT, registers + MMIO_FEATURES);
  };
}

/** The first register in I/O space (section 4.1.4.10). */
async function legacyFeatures(session: QtestSession, configuration: PciConfiguration, slot: number): Promise<bigint> {
  await configuration.write(slot, FIRST_BAR, IO_ADDRESS);
  await configuration.write(slot, COMMAND, IO_SPACE);
  const features = BigInt(await session.ask(`inl 0x${IO_ADDRESS.toString(16)}`));
  await configuration.write(slot, COMMAND, 0);
  return features;
}

/** Two halves, selected one after the other by the register before them (section 4.1.4.3). */
async function modernFeatures(session: QtestSession, configuration: PciConfiguration, slot: number): Promise<bigint> {
  const { bar, offset } = await findCommonConfiguration(configuration, slot);
  // A register of 64 bits: the second half is that of the next.
  await configuration.write(slot, FIRST_BAR + 4 * bar, configuration.freeAddress);
  await configuration.write(slot, FIRST_BAR + 4 * (bar + 1), 0);
  await configuration.write(slot, COMMAND, MEMORY_SPACE);
  const registers = configuration.memoryBase + configuration.freeAddress + offset;
  const features = await readHalves(session, [0, 1], registers, registers + 4);
  await configuration.write(slot, COMMAND, 0);
  return features;
}

/** Reads words of features, each of which is selected before. */
async function readHalves(
  session: QtestSession,
  halves: readonly number[],
  select: number,
  register: number,
): Promise<bigint> {
  let features = 0n;
  for (const half of halves) {
    await session.writeMemory(select, Buffer.from([half, 0, 0, 0]));
    const word = (await session.readMemory(register, 4)).readUInt32LE();
    features |= BigInt(word) << BigInt(32 * half);
  }
  return features;
}

async function findCommonConfiguration(
  configuration: PciConfiguration,
  slot: number,
): Promise<{ readonly bar: number; readonly offset: number }> {
  let at = (await configuration.read(slot, CAPABILITIES)) & 0xfc;
  for (let i = 0; i < MOST_CAPABILITIES && at !== 0; i++) {
    const header = await configuration.read(slot, at);
    if ((header & 0xff) === VENDOR_SPECIFIC && header >>> 24 === COMMON_CONFIGURATION) {
      const bar = (await configuration.read(slot, at + 4)) & 0xff;
      return { bar, offset: await configuration.read(slot, at + 8) };
    }
    at = (header >>> 8) & 0xfc;
  }
  throw new Error(`the device in slot ${slot} has no modern interface`);
}
