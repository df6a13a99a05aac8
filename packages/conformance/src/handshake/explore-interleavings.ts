/**
 * Agents that take turns, one step at a time. It has to be deterministic: the same steps after the same start lead to
 * the same state, so that a state is reached again by repeating the steps that led to it.
 */
export interface InterleavedSystem {
  /** The names of the possible next steps, each once. Empty when neither side can take a step. */
  steps(): readonly string[];
  take(step: string): void;
  /** All that decides how the system goes on, as text. Of states with the same key only one is explored further. */
  key(): string;
  /** What is wrong in this state, or `undefined`. */
  problem(): string | undefined;
}

/** The bounds of an exploration. */
export interface ExplorationOptions {
  /** A schedule longer than this is a finding: every schedule has to end. */
  readonly maxSteps: number;
}

/**
 * What an exploration saw. Without a finding, every interleaving was tried: each one ends, and no state on the way has
 * a problem.
 */
export interface Exploration {
  /** Different states, by their keys. */
  readonly states: number;
  /** Steps from one state to the next. */
  readonly transitions: number;
  readonly finding: Finding | undefined;
}

/** The first problem met, and the steps from the start that lead to it. */
export interface Finding {
  readonly problem: string;
  readonly schedule: readonly string[];
}

/** A state on the schedule being tried: its steps, of which the first `tried` were taken. */
interface Branch {
  readonly key: string;
  readonly steps: readonly string[];
  tried: number;
}

/**
 * Tries every order in which the agents of a system can take their steps, depth first, and stops at the first problem.
 * A schedule that comes back to an earlier state is a problem too: it can go round for ever.
 *
 * `start` makes a new system in its first state; it is called once for every branch.
 */
export function exploreInterleavings(start: () => InterleavedSystem, options: ExplorationOptions): Exploration {
  const seen = new Set<string>();
  const onSchedule = new Set<string>();
  const branches: Branch[] = [];
  let transitions = 0;
  let system = start();

  const end = (problem?: string): Exploration => {
    const finding = problem === undefined ? undefined : { problem, schedule: branches.map(lastStep) };
    return { states: seen.size, transitions, finding };
  };
  /** Goes on from the state that was just reached. Returns what is wrong with it. */
  const enter = (): string | undefined => {
    const problem = system.problem();
    const key = system.key();
    if (problem !== undefined) return problem;
    if (onSchedule.has(key)) return 'comes back to a state it was in, and can go round for ever';
    const steps = seen.has(key) ? [] : system.steps();
    if (steps.length > 0 && branches.length === options.maxSteps) return `goes on after ${options.maxSteps} steps`;
    seen.add(key);
    onSchedule.add(key);
    branches.push({ key, steps, tried: 0 });
    return undefined;
  };

  const problem = enter();
  if (problem !== undefined) return end(problem);
  let isAtTop = true;
  for (let branch = branches.at(-1); branch !== undefined; branch = branches.at(-1)) {
    const step = branch.steps[branch.tried];
    if (step === undefined) {
      onSchedule.delete(branch.key);
      branches.pop();
      isAtTop = false;
      continue;
    }
    if (!isAtTop) {
      system = start();
      for (const earlier of branches.slice(0, -1)) system.take(lastStep(earlier));
    }
    branch.tried++;
    system.take(step);
    transitions++;
    isAtTop = true;
    const found = enter();
    if (found !== undefined) return end(found);
  }
  return end();
}

function lastStep(branch: Branch): string {
  return branch.steps[branch.tried - 1]!;
}
