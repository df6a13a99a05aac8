import type { DeviceAddressSpace } from '@virtio-platform/core/address-space';
import type { GuestMemory } from '@virtio-platform/core/memory';
import { DmaSanitizer, type DmaFinding } from '@virtio-platform/dma-sanitizer';
import type { Profile } from '@virtio-platform/profile';
import type { FindingReport, RunReport } from './report/report.ts';

/** The DMA sanitizer of one run: there from the moment the machine has memory, which is while it boots. */
export class SanitizedRun {
  readonly #profile: Profile;
  readonly #listeners: ((finding: DmaFinding) => void)[];
  #sanitizer: DmaSanitizer | undefined;

  /** `found` is told of each finding. */
  constructor(profile: Profile, found?: (finding: DmaFinding) => void) {
    this.#profile = profile;
    this.#listeners = found === undefined ? [] : [found];
  }

  get #type(): Profile['device']['type'] {
    return this.#profile.device.type;
  }

  /** Looks at what the device does, where the machine lets it. */
  readonly watchDevice = (space: DeviceAddressSpace): DeviceAddressSpace =>
    this.open(space.memory).addressSpace(space, this.#type.name, this.#type.writes === 'memory');

  /** Has `listener` told of each finding from here on. */
  watch(listener: (finding: DmaFinding) => void): void {
    this.#listeners.push(listener);
  }

  /** The sanitizer of the run, over the machine's memory. */
  open(memory: GuestMemory): DmaSanitizer {
    if (this.#sanitizer !== undefined) return this.#sanitizer;
    this.#sanitizer = new DmaSanitizer(memory, { name: this.#profile.name });
    this.#sanitizer.findings.watch((finding) => {
      for (const listener of this.#listeners) listener(finding);
    });
    this.#sanitizer.fillUnusedMemory();
    return this.#sanitizer;
  }

  /** Checks memory that was never allocated, before the machine frees it. */
  end(): void {
    this.#sanitizer?.checkUnusedMemory();
  }

  /** For the report, once everything was given back. */
  get report(): Pick<RunReport, 'findings' | 'sanitizer'> {
    const sanitizer = this.#sanitizer;
    if (sanitizer === undefined) return { findings: [], sanitizer: null };
    const { findings, seesDriver, seesDevice } = sanitizer;
    return {
      findings: findings.entries.map(findingReport),
      sanitizer: { findings: findings.count, seesDriver, seesDevice },
    };
  }
}

/** A finding as reports have it. */
export function findingReport(finding: DmaFinding): FindingReport {
  const { queue, descriptor, buffer, deviceAddress } = finding;
  return {
    ...finding,
    queue: queue ?? null,
    descriptor: descriptor ?? null,
    buffer:
      buffer === undefined ? null : { ...buffer, address: hex(buffer.address), direction: buffer.direction ?? null },
    deviceAddress: deviceAddress === undefined ? null : hex(deviceAddress),
  };
}

function hex(address: number | bigint): string {
  return `0x${address.toString(16)}`;
}
