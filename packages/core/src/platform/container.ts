// tsyringe refuses to load without this polyfill; here it is loaded first, so that no user of this package has to.
import 'reflect-metadata';
import { container, type DependencyContainer, type InjectionToken } from 'tsyringe';

export type { DependencyContainer, InjectionToken };

/**
 * Opens the container of one run, which knows nothing yet. The composition root fills it, and contract suites do; what
 * a plugin registers in it by factory works with any installed copy of this package and of tsyringe.
 */
export function openContainer(): DependencyContainer {
  return container.createChildContainer();
}
