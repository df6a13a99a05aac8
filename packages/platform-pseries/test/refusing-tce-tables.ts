import { H_SUCCESS, SimulatedTceTables } from '../src/index.ts';

/** A hypervisor that answers with chosen codes from a chosen call on; other calls go to simulated tables. */
export class RefusingTceTables extends SimulatedTceTables {
  putStatus: number = H_SUCCESS;
  clearStatus: number = H_SUCCESS;
  /** How many put calls still succeed. */
  putsLeft = 0;

  override putTce(liobn: number, iobaLow: number, iobaHigh: number, tceLow: number, tceHigh: number): number {
    if (this.#refuses()) return this.putStatus;
    return super.putTce(liobn, iobaLow, iobaHigh, tceLow, tceHigh);
  }

  /** Refuses in the middle of a list: the first half stays applied. */
  override putTceIndirect(liobn: number, iobaLow: number, iobaHigh: number, list: Uint32Array, count: number): number {
    if (!this.#refuses()) return super.putTceIndirect(liobn, iobaLow, iobaHigh, list, count);
    super.putTceIndirect(liobn, iobaLow, iobaHigh, list, Math.ceil(count / 2));
    return this.putStatus;
  }

  override stuffTce(
    liobn: number,
    iobaLow: number,
    iobaHigh: number,
    tceLow: number,
    tceHigh: number,
    count: number,
  ): number {
    if (this.clearStatus !== H_SUCCESS) return this.clearStatus;
    return super.stuffTce(liobn, iobaLow, iobaHigh, tceLow, tceHigh, count);
  }

  #refuses(): boolean {
    return this.putStatus !== H_SUCCESS && this.putsLeft-- <= 0;
  }
}
