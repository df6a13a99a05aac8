import { closeSync, openSync } from 'node:fs';
import { CodedError, DeviceError } from '@virtio-platform/core';
import { FaultLog } from '@virtio-platform/core/address-space';
import { VIRTIO_F_ACCESS_PLATFORM } from '@virtio-platform/core/features';
import { allocateSharedMemory, GuestMemory } from '@virtio-platform/core/memory';
import { TinyTransport } from './tiny-transport.js';

/** Guest memory, the hardware of whatever platform the profile names, and one entropy device. */
export class TinyMachine {
  name = 'tiny';
  #request;
  #source;

  /** `source` is the path of the file that the device's bytes come from. */
  constructor(request, source) {
    this.#request = request;
    this.#source = source;
  }

  async boot() {
    const { device, memory: bytes, simulate, watchDevice } = this.#request;
    if (simulate === undefined)
      throw new CodedError('ERR_PLUGIN_FACILITY', 'tiny: the platform has no hardware in software');
    const offers = device.offers ?? TinyTransport.FEATURES;
    checkDevice(device, offers);

    const memory = new GuestMemory(allocateSharedMemory(bytes));
    const faults = new FaultLog();
    const hardware = simulate(memory);
    // Bound by what the device offers: nothing that a driver does changes it.
    const blueprint = hardware.addressSpace(offers.has(VIRTIO_F_ACCESS_PLATFORM));
    const space = blueprint.open(memory, faults, blueprint.state);
    const source = openSync(this.#source);
    const transport = new TinyTransport(watchDevice?.(space) ?? space, offers, source);
    return { memory, transport, faults, facilities: hardware.facilities, dispose: async () => closeSync(source) };
  }
}

/** The number of the entropy device (virtio 1.4 section 5). */
const ENTROPY = 4;

/** Throws for a device that this machine does not have. */
function checkDevice({ type, driverInterface, settings }, offers) {
  const wanted = [
    type.id === ENTROPY || `a ${type.name} device`,
    driverInterface === 'modern' || 'a legacy device',
    settings?.seed === undefined || 'a device with a seed',
    offers.minus(TinyTransport.FEATURES).bits === 0n ||
      `a device that offers ${offers.names(type.features).join(', ')}`,
  ].find((answer) => answer !== true);
  if (wanted === undefined) return;
  throw new DeviceError('ERR_DEVICE_IMPOSSIBLE', `tiny: the profile asks for ${wanted}`, {
    hint: `this machine has a modern entropy device with ${TinyTransport.FEATURES.names(type.features).join(', ')}`,
  });
}
