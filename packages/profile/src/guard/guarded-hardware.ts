import type { SimulatedHardware } from '@virtio-platform/core';
import type { AddressSpaceBlueprint, DeviceAddressSpace, OpenAddressSpace } from '@virtio-platform/core/address-space';
import type { PluginUse } from '../schema/profile.ts';
import { checkMembers, isFunction, isMap, isOneOf, isText, orAbsent, type MemberCheck } from './member-check.ts';
import { runHookSync } from './run-hook.ts';

const HARDWARE: readonly MemberCheck[] = [
  ['facilities', isMap, 'a Map'],
  ['guestByteOrder', orAbsent(isOneOf('little', 'big')), 'little or big'],
  ['addressSpace', isFunction, 'a function'],
];

const BLUEPRINT: readonly MemberCheck[] = [
  ['module', orAbsent(isText), 'the URL of a module, or nothing'],
  ['open', isFunction, 'a function'],
];

const isObject = (value: unknown): boolean => typeof value === 'object' && value !== null;

const ADDRESS_SPACE: readonly MemberCheck[] = [
  ['memory', isObject, 'guest memory'],
  ['faults', isObject, 'a fault log'],
  ['generation', (value) => typeof value === 'number', 'a number'],
  ['seenGeneration', orAbsent((value) => typeof value === 'number'), 'a number, or nothing'],
  ['read', isFunction, 'a function'],
  ['write', isFunction, 'a function'],
  ['borrow', isFunction, 'a function'],
];

/**
 * The hardware that a platform simulates, behind checks. The address space itself goes to the device as it is, so that
 * an access costs what it costs without a check. Throws `ERR_PLUGIN_CONTRACT`.
 */
export function guardHardware(use: PluginUse, hardware: unknown): SimulatedHardware {
  const kind = 'platform';
  checkMembers({ kind, use, hook: 'simulate' }, hardware, HARDWARE);
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- its members were just checked
  const { facilities, guestByteOrder } = hardware as SimulatedHardware;
  const open =
    (blueprint: AddressSpaceBlueprint): OpenAddressSpace =>
    (memory, faults, state) => {
      const hook = 'addressSpace.open';
      const space: unknown = runHookSync(kind, use, hook, () => blueprint.open(memory, faults, state));
      checkMembers({ kind, use, hook }, space, ADDRESS_SPACE);
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion
      return space as DeviceAddressSpace;
    };
  const addressSpace = (offersAccessPlatform: boolean): AddressSpaceBlueprint => {
    const hook = 'addressSpace';
    const blueprint: unknown = runHookSync(kind, use, hook, () =>
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion
      (hardware as SimulatedHardware).addressSpace(offersAccessPlatform),
    );
    checkMembers({ kind, use, hook }, blueprint, BLUEPRINT);
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion
    const checked = blueprint as AddressSpaceBlueprint;
    const { module, state } = checked;
    return { ...(module !== undefined && { module }), state, open: open(checked) };
  };
  return { facilities, ...(guestByteOrder !== undefined && { guestByteOrder }), addressSpace };
}
