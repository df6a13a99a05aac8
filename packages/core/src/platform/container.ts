// tsyringe refuses to load without this polyfill; here it is loaded first, so that no user of this package has to.
import 'reflect-metadata';
import { container, inject as untypedInject, type DependencyContainer, type InjectionToken } from 'tsyringe';

export type { DependencyContainer, InjectionToken };

/**
 * Opens the container of one run, which knows nothing yet. The composition root fills it, and contract suites do; what
 * a plugin registers in it by factory works with any installed copy of this package and of tsyringe.
 */
export function openContainer(): DependencyContainer {
  return container.createChildContainer();
}

type ParameterOf<T> = <C extends abstract new (...args: never[]) => unknown, I extends number>(
  target: C,
  key: undefined,
  index: T extends ConstructorParameters<C>[I] ? I : never,
) => void;

/** tsyringe's `inject`, refused by the compiler where the token does not fit the parameter. */
export function inject<T>(token: InjectionToken<T>): ParameterOf<T> {
  return untypedInject(token) as ParameterOf<T>;
}
