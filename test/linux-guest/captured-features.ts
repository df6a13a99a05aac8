import { deviceTable } from '../device-tables.ts';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { FeatureSet } from '@virtio-platform/core/features';
import { readAcceptedFeatures } from './accepted-features.ts';
import type { CaseDevice, FeatureCase } from './feature-cases.ts';
import { emulatorOf } from './guest-files.ts';
import { readOfferedFeatures } from './offered-features.ts';

export const CAPTURED_FEATURES: URL = new URL('captured-features.json', import.meta.url);

/** Feature bits as data: hexadecimal for programs, names for people. */
export interface CapturedBits {
  readonly hex: string;
  readonly names: readonly string[];
}

/** What QEMU offered and Linux accepted. */
export interface CapturedDevice extends CaseDevice {
  /** The device type's number (specification 1.4 section 5). */
  readonly id: number;
  readonly offered: CapturedBits;
  /** The device status field when Linux was done: 0x83 for a device that it gave up. */
  readonly status: string;
  readonly accepted: CapturedBits;
  /** The kind of its IOMMU domain, as Linux calls it; `none` without one. */
  readonly domain: string;
}

/** One case as it was seen, with what is needed to see it again. */
export interface CapturedCase {
  readonly name: string;
  readonly qemu: string;
  readonly linux: string;
  readonly command: string;
  readonly append: string;
  readonly devices: readonly CapturedDevice[];
}

export interface CapturedFeatures {
  /** The command that made this file. */
  readonly madeBy: string;
  readonly cases: readonly CapturedCase[];
}

/** What was seen last. */
export function readCapturedFeatures(): CapturedFeatures {
  return JSON.parse(readFileSync(CAPTURED_FEATURES, 'utf8')) as CapturedFeatures;
}

/** Asks QEMU what it offers, and Linux what it accepts of that. */
export async function captureFeatures(from: FeatureCase): Promise<CapturedCase> {
  const emulator = emulatorOf(from.architecture);
  const offered = await readOfferedFeatures(from);
  const { version, devices } = await readAcceptedFeatures(from);
  return {
    name: from.name,
    qemu: execFileSync(emulator, ['--version'], { encoding: 'utf8' }).split('\n')[0]!,
    linux: version,
    command: [emulator, ...from.arguments].join(' '),
    append: from.append,
    devices: from.devices.map((device, index) => {
      const { slot, id, status, accepted, domain } = devices[index]!;
      if (slot !== device.slot) throw new Error(`Linux has no virtio device in slot ${device.slot}`);
      return {
        ...device,
        id,
        offered: capturedBits(offered[index]!, device.type),
        status: `0x${status.toString(16)}`,
        accepted: capturedBits(accepted, device.type),
        domain,
      };
    }),
  };
}

function capturedBits(bits: bigint, type: string): CapturedBits {
  return { hex: `0x${bits.toString(16)}`, names: new FeatureSet(bits).names(deviceTable(type)) };
}
