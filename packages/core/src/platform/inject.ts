import 'reflect-metadata';
import { inject as untypedInject, type InjectionToken } from 'tsyringe';

type ParameterOf<T> = <C extends abstract new (...args: never[]) => unknown, I extends number>(
  target: C,
  key: undefined,
  index: T extends ConstructorParameters<C>[I] ? I : never,
) => void;

/** tsyringe's `inject`, refused by the compiler where the token does not fit the parameter. */
export function inject<T>(token: InjectionToken<T>): ParameterOf<T> {
  return untypedInject(token) as ParameterOf<T>;
}
