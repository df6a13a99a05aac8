import type { VhostUserFrontEnd } from '@virtio-platform/core';
import { checkRange, type DeviceConfig } from './device-config.ts';

/** The configuration that the front-end itself has, where a back-end has none: the driver may not write it. */
export class FrontEndConfig implements DeviceConfig {
  readonly #config: Uint8Array;

  constructor({ config }: VhostUserFrontEnd) {
    this.#config = config;
  }

  read(offset: number, target: Uint8Array): void {
    checkRange(offset, offset + target.length, this.#config.length);
    target.set(this.#config.subarray(offset, offset + target.length));
  }

  write(_offset: number, _source: Uint8Array): void {}

  changed(): void {}
}
