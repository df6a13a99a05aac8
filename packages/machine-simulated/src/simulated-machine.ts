import {
  CodedError,
  disposeModel,
  misbehaving,
  openModel,
  RequestedMachine,
  type BootedMachine,
  type DeviceModel,
  type DeviceTypePlugin,
  type MachineRequest,
} from '@virtio-platform/core';
import {
  coversMemoryOneToOne,
  FaultLog,
  type AddressSpaceBlueprint,
  type DeviceAddressSpace,
} from '@virtio-platform/core/address-space';
import type { Transport } from '@virtio-platform/core/device';
import { FeatureSet } from '@virtio-platform/core/features';
import { allocateSharedMemory, GuestMemory } from '@virtio-platform/core/memory';
import { openMmioTransport } from '@virtio-platform/mmio';
import { boundAddressSpace, deviceSetup, offeredFeatures, type DeviceSetup } from './device-setup.ts';
import { spaceWithConsequence } from './fault-consequence.ts';
import { InProcessTransport } from './in-process-transport.ts';
import type { SimulatedOptions } from './options.ts';
import { spaceBelowMask } from './masked-address-space.ts';
import { SimulatedDevice } from './simulated-device.ts';
import { SimulatedMmio } from './simulated-mmio.ts';
import { openWorkerTransport } from './worker-transport.ts';

/**
 * The embedded machine: guest memory, the platform's hardware in software, and a device that reaches memory only
 * through it. Needs nothing installed.
 */
export class SimulatedMachine extends RequestedMachine<SimulatedOptions> {
  readonly name = 'simulated';

  async boot(): Promise<BootedMachine> {
    const { device: description, simulate } = this.request;
    if (simulate === undefined) {
      throw new CodedError('ERR_PLUGIN_FACILITY', 'the platform has no hardware in software', {
        hint: 'run it on a real machine, or give its plugin a `simulate`',
      });
    }
    const memory = new GuestMemory(allocateSharedMemory(this.request.memory));
    const hardware = simulate(memory);
    const setup = deviceSetup(description, hardware, this.options);
    const faults = new FaultLog();
    const bind = (offers: FeatureSet): AddressSpaceBlueprint => boundAddressSpace(hardware, offers);
    const { facilities } = hardware;
    const booted = (
      transport: Transport,
      counted: Pick<BootedMachine, 'notifications'>,
      end: Pick<BootedMachine, 'deviceError' | 'dispose'>,
    ): BootedMachine => ({
      memory,
      transport,
      faults,
      facilities,
      get notifications() {
        return counted.notifications;
      },
      ...end,
    });
    if (this.options.device === 'worker') {
      const transport = await openWorkerTransport(memory, faults, description.type, setup, bind);
      return booted(transport, transport, {
        deviceError: () => transport.deviceError,
        dispose: () => transport.ended(),
      });
    }
    const { watchDevice, watchDeviceQueue: watchQueue } = this.request;
    let driver: { tellDriver(): void } | undefined;
    const parts = { setup, bind, watchDevice, watchQueue, onEvent: () => driver?.tellDriver() };
    const device = openDevice(memory, faults, description.type, parts);
    const deviceError = (): SimulatedDevice['error'] => device.error;
    if (this.options.transport === 'mmio') {
      const registers = new SimulatedMmio(device, description.type, setup.interface);
      driver = registers;
      const transport = openMmioTransport(registers, setup.interface, { signal: registers.signal });
      return booted(transport, device, { deviceError, dispose: async () => registers.dispose() });
    }
    const transport = new InProcessTransport(
      device,
      description.type.id,
      setup.interface,
      new FeatureSet(setup.carries),
    );
    driver = transport;
    return booted(transport, device, { deviceError, dispose: async () => transport.dispose() });
  }
}

/** How a device in this thread is made. */
interface DeviceParts {
  readonly setup: DeviceSetup;
  readonly bind: (offers: FeatureSet) => AddressSpaceBlueprint;
  readonly watchDevice: MachineRequest['watchDevice'];
  readonly watchQueue: MachineRequest['watchDeviceQueue'];
  readonly onEvent: () => void;
}

function openDevice(
  memory: GuestMemory,
  faults: FaultLog,
  type: DeviceTypePlugin,
  parts: DeviceParts,
): SimulatedDevice {
  const opened = openModel(type, parts.setup.settings, parts.setup.byteOrder);
  const model = misbehaving(opened, parts.setup.misbehaves);
  try {
    return deviceAround(model, memory, faults, type, parts);
  } catch (error) {
    disposeModel(model);
    throw error;
  }
}

function deviceAround(
  model: DeviceModel,
  memory: GuestMemory,
  faults: FaultLog,
  type: DeviceTypePlugin,
  { setup, bind, watchDevice, watchQueue, onEvent }: DeviceParts,
): SimulatedDevice {
  const offers = offeredFeatures(setup, model.features);
  const blueprint = bind(offers);
  const open = (log: FaultLog): DeviceAddressSpace =>
    spaceBelowMask(blueprint.open(memory, log, blueprint.state), setup.addressBits);
  const space = spaceWithConsequence(open(faults), setup.onFault);
  // Looking is no access: it has a fault log of its own.
  const isOneToOne = (): boolean => coversMemoryOneToOne(open(new FaultLog()));
  const options = { ...setup, type, offers, isOneToOne, watchQueue, onEvent };
  return new SimulatedDevice(model, watchDevice === undefined ? space : watchDevice(space), options);
}
