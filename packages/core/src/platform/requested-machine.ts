import type { BootedMachine, Machine, MachineRequest } from './machine.ts';

/** A machine that boots what was requested of it, as the options of its plugin say. */
export abstract class RequestedMachine<Options> implements Machine {
  abstract readonly name: string;
  protected readonly request: MachineRequest;
  protected readonly options: Options;

  constructor(request: MachineRequest, options: Options) {
    this.request = request;
    this.options = options;
  }

  abstract boot(): Promise<BootedMachine>;
}
