import { SeededRandom } from '@pvtrail/primitives';

/** Frames of 4 KiB that stay next to each other, as guest frames. */
export interface FrameRun {
  readonly first: number;
  readonly count: number;
}

/**
 * Which machine frame each guest frame is, and the other way round: a permutation of the guest's RAM (docs/adr/007). Frame 0 is frame 0:
 * a root of 0 means that there is none.
 */
export class MachineFrames {
  readonly machineOf: Uint32Array;
  readonly guestOf: Uint32Array;

  /** Frames of `together`, which begin behind frame 0, move as one, so that the image can be read and edited in one piece; all others are shuffled. */
  constructor(count: number, seed: number, together: FrameRun) {
    const random = new SeededRandom(seed);
    const start = 1 + (random.nextU32() % (count - together.count));
    const others = Uint32Array.from({ length: count - together.count }, (_, index) =>
      index < start ? index : index + together.count,
    );
    shuffle(others, random);
    this.machineOf = new Uint32Array(count);
    this.guestOf = new Uint32Array(count);
    let next = 0;
    for (let frame = 0; frame < count; frame += 1) {
      const inRun = frame - together.first;
      const machine = inRun >= 0 && inRun < together.count ? start + inRun : (others[next++] ?? 0);
      this.machineOf[frame] = machine;
      this.guestOf[machine] = frame;
    }
  }
}

/** All but the first. */
const shuffle = (values: Uint32Array, random: SeededRandom): void => {
  for (let last = values.length - 1; last > 1; last -= 1) {
    const other = 1 + (random.nextU32() % last);
    const kept = values[last] ?? 0;
    values[last] = values[other] ?? 0;
    values[other] = kept;
  }
};
