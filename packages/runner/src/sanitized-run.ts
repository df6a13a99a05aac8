import type { AddressRange } from '@virtio-platform/core';
import type { DeviceAddressSpace } from '@virtio-platform/core/address-space';
import type { GuestMemory } from '@virtio-platform/core/memory';
import { DmaSanitizer, FindingLog, type AddedBuffer, type DmaFinding } from '@virtio-platform/dma-sanitizer';
import type { Profile } from '@virtio-platform/profile';
import type { FindingReport, RunReport } from './report/report.ts';

/** What knows the requests of the driver half. */
export interface FindingWitness {
  /** What the driver asks for with a buffer, or what the device works on where it is not known which buffer. */
  operationOf(finding: DmaFinding, buffer: AddedBuffer | undefined): string | undefined;
  /** Is told of each finding, once the driver knows what its buffer is for. */
  found(finding: FindingReport): void;
}

/** The DMA sanitizer of one run: there from the moment the machine has memory, which is while it boots. */
export class SanitizedRun {
  readonly #profile: Profile;
  readonly #found: ((finding: DmaFinding) => void) | undefined;
  readonly #operations = new Map<DmaFinding, string>();
  #witness: FindingWitness | undefined;
  #sanitizer: DmaSanitizer | undefined;

  /** `found` is told of each finding at once. */
  constructor(profile: Profile, found?: (finding: DmaFinding) => void) {
    this.#profile = profile;
    this.#found = found;
  }

  get #type(): Profile['device']['type'] {
    return this.#profile.device.type;
  }

  /** Looks at what the device does, where the machine lets it. */
  readonly watchDevice = (space: DeviceAddressSpace): DeviceAddressSpace =>
    this.open(space.memory).addressSpace(space, this.#type.name, this.#type.writes === 'memory');

  /** Says which device addresses are interrupts, once there is a platform that knows. */
  know(interrupts: readonly AddressRange[]): void {
    this.#sanitizer?.interrupts(interrupts, this.#type.name);
  }

  /** Has `witness` say from here on what each finding is of. */
  attach(witness: FindingWitness): void {
    this.#witness = witness;
  }

  /** The sanitizer of the run, over the machine's memory. */
  open(memory: GuestMemory): DmaSanitizer {
    if (this.#sanitizer !== undefined) return this.#sanitizer;
    this.#sanitizer = new DmaSanitizer(memory, { name: this.#profile.name });
    const { findings } = this.#sanitizer;
    if (this.#found !== undefined) findings.watch(this.#found);
    findings.watchSettled((finding, buffer) => this.#settled(finding, buffer));
    this.#sanitizer.fillUnusedMemory();
    return this.#sanitizer;
  }

  /** No buffer is being added: tells of findings that waited for that. */
  settle(): void {
    this.#sanitizer?.findings.settle();
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
    findings.settle();
    return {
      findings: findings.entries.map((finding) => findingReport(finding, this.#operations.get(finding))),
      sanitizer: { findings: findings.count, seesDriver, seesDevice },
    };
  }

  #settled(finding: DmaFinding, buffer: AddedBuffer | undefined): void {
    const operation = this.#witness?.operationOf(finding, buffer);
    // Those beyond are in no report.
    if (operation !== undefined && this.#operations.size < FindingLog.LIMIT) this.#operations.set(finding, operation);
    this.#witness?.found(findingReport(finding, operation));
  }
}

/** A finding as reports have it. */
export function findingReport(finding: DmaFinding, operation: string | undefined): FindingReport {
  const { queue, descriptor, request, buffer, deviceAddress } = finding;
  return {
    ...finding,
    queue: queue ?? null,
    descriptor: descriptor ?? null,
    request: request ?? null,
    operation: operation ?? null,
    buffer:
      buffer === undefined ? null : { ...buffer, address: hex(buffer.address), direction: buffer.direction ?? null },
    deviceAddress: deviceAddress === undefined ? null : hex(deviceAddress),
  };
}

function hex(address: number | bigint): string {
  return `0x${address.toString(16)}`;
}
