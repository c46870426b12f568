import type { FleetSpec, RunId } from '@pvtrail/contracts';
import type { Answers, DeadLetterPlace, RunGuest } from '@pvtrail/reporting';

export interface ComputedRun {
  readonly runId: RunId;
  readonly guests: readonly RunGuest[];
  /** How many of them had been stored before. */
  readonly resumed: number;
}

/** A pvtrail to talk to: the one in this process, or a server. */
export interface Pvtrail {
  readonly answers: Answers;
  /**
   * Computes what of the fleet is not stored yet; shows how far it is.
   * @param force what is stored is forgotten and computed again
   * @throws AppError `run/failed` naming the first guest that failed
   */
  compute(fleet: FleetSpec, force: boolean): Promise<ComputedRun>;
  /** Publishes a message again that could not be handled. @throws AppError `input/not-found` */
  redrive(place: DeadLetterPlace): Promise<void>;
}
