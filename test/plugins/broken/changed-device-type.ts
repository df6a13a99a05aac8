import type {
  DeviceModel,
  DeviceTypePlugin,
  DriverContext,
  DriverHalf,
  Workload,
  WorkloadContext,
  WorkloadType,
} from '@virtio-platform/core';

/** A device type of any settings and driver half. */
export type AnyDeviceType = DeviceTypePlugin;

/** A shipped device type, whose settings and driver half only pass through. */
export function anyDeviceType<Settings, Driver extends DriverHalf>(
  plugin: DeviceTypePlugin<Settings, Driver>,
): AnyDeviceType {
  return plugin;
}

/** `target`, with members that `change` has instead; its own private fields keep working. */
export function changed<T extends object>(target: T, change: Partial<T>): T {
  return new Proxy(target, {
    get(inner, key) {
      if (Object.hasOwn(change, key)) return Reflect.get(change, key);
      const value: unknown = Reflect.get(inner, key, inner);
      return typeof value === 'function' ? value.bind(inner) : value;
    },
  });
}

/** A device type with another device half. */
export function withModel(
  plugin: AnyDeviceType,
  change: (model: DeviceModel, settings: unknown) => Partial<DeviceModel>,
): AnyDeviceType {
  return {
    ...plugin,
    model(settings, byteOrder) {
      const model = plugin.model(settings, byteOrder);
      return changed(model, change(model, settings));
    },
  };
}

/** A device type with another driver half; `change` may also throw, or look at the context. */
export function withDriver(
  plugin: AnyDeviceType,
  change: (driver: DriverHalf, context: DriverContext) => Partial<DriverHalf>,
): AnyDeviceType {
  const open = (context: DriverContext): DriverHalf => {
    const driver = plugin.driver.open(context);
    return changed(driver, change(driver, context));
  };
  return { ...plugin, driver: { ...plugin.driver, open } };
}

/** A device type whose first workload alone is there, changed. */
export function withWorkloadType(
  plugin: AnyDeviceType,
  change: Partial<WorkloadType<unknown, DriverHalf, unknown>>,
): AnyDeviceType {
  const [name, type] = Object.entries(plugin.workloads)[0]!;
  return { ...plugin, workloads: { [name]: { ...type, ...change } } };
}

/** A device type whose first workload alone is there, and does something else once it is open. */
export function withWorkload(
  plugin: AnyDeviceType,
  change: (workload: Workload, context: WorkloadContext) => Partial<Workload>,
  context: (given: WorkloadContext) => WorkloadContext = (given) => given,
): AnyDeviceType {
  const [, type] = Object.entries(plugin.workloads)[0]!;
  return withWorkloadType(plugin, {
    open(driver, given) {
      const seen = context(given);
      const workload = type.open(driver, seen);
      return changed(workload, change(workload, seen));
    },
  });
}
