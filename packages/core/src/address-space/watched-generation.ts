/** What has a generation, and may have a fast look at it: see `DeviceAddressSpace.seenGeneration`. */
interface Generations {
  readonly generation: number;
  readonly seenGeneration?: number | undefined;
}

/** A fast look at a generation, or the generation where there is no fast look. */
export interface WatchedGeneration {
  readonly seenGeneration: number;
}

/**
 * The fast look at the generation of `subject`, where it has one that is not older than its generation: a subclass that
 * only counts its generation otherwise inherits a look at another one.
 */
export function watchGeneration(subject: Generations): WatchedGeneration {
  return isFastLook(subject) ? subject : new OrderedLook(subject);
}

function isFastLook(subject: Generations): subject is Generations & WatchedGeneration {
  return (
    subject.seenGeneration !== undefined && distanceTo(subject, 'seenGeneration') <= distanceTo(subject, 'generation')
  );
}

/** How far up the chain of prototypes a property is. Cold. */
function distanceTo(subject: object, name: keyof Generations): number {
  let distance = 0;
  let owner: object | null = subject;
  while (owner !== null && !Object.hasOwn(owner, name)) {
    const next: unknown = Object.getPrototypeOf(owner);
    owner = typeof next === 'object' ? next : null;
    distance++;
  }
  return distance;
}

class OrderedLook implements WatchedGeneration {
  readonly #subject: Generations;

  constructor(subject: Generations) {
    this.#subject = subject;
  }

  get seenGeneration(): number {
    return this.#subject.generation;
  }
}
