import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SystemView } from '../../src/index.ts';

/** A PCI function as /sys shows it. */
export interface FakeFunction {
  readonly address: string;
  readonly vendor?: string;
  readonly device?: string;
  readonly subsystem?: string;
  readonly class?: string;
  readonly group?: string;
  readonly driver?: string;
  readonly characterDevice?: string;
}

/** A folder with the files of /sys and /dev that the discovery reads. They contain data, and simulate nothing. */
export class FakeSystem {
  readonly root: string = mkdtempSync(join(tmpdir(), 'virtio-platform-'));

  add({ address, group, driver, characterDevice, ...ids }: FakeFunction): void {
    const folder = this.#folder(`sys/bus/pci/devices/${address}`);
    writeFileSync(join(folder, 'vendor'), `${ids.vendor ?? '0x1af4'}\n`);
    writeFileSync(join(folder, 'device'), `${ids.device ?? '0x1042'}\n`);
    writeFileSync(join(folder, 'subsystem_device'), `${ids.subsystem ?? '0x1100'}\n`);
    writeFileSync(join(folder, 'class'), `${ids.class ?? '0x010000'}\n`);
    if (driver !== undefined) symlinkSync(`../../../bus/pci/drivers/${driver}`, join(folder, 'driver'));
    if (characterDevice !== undefined) this.#folder(`sys/bus/pci/devices/${address}/vfio-dev/${characterDevice}`);
    if (group === undefined) return;
    symlinkSync(`../../../kernel/iommu_groups/${group}`, join(folder, 'iommu_group'));
    writeFileSync(join(this.#folder(`sys/kernel/iommu_groups/${group}/devices`), address), '');
  }

  addFile(path: string): void {
    writeFileSync(join(this.#folder(join(path, '..')), path.split('/').at(-1)!), '');
  }

  /** The view of a user who may use all files except `forbidden`. */
  view({ forbidden = [], limit }: { forbidden?: readonly string[]; limit?: number } = {}): SystemView {
    return {
      root: this.root,
      user: 'alice',
      mayUse: (path) => !forbidden.some((file) => path === join(this.root, file)),
      memoryLockLimit: limit,
    };
  }

  dispose(): void {
    rmSync(this.root, { recursive: true });
  }

  #folder(path: string): string {
    const folder = join(this.root, path);
    mkdirSync(folder, { recursive: true });
    return folder;
  }
}
