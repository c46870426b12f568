import { AppError } from '@pvtrail/primitives';

/** A set-associative cache; sizes in bytes, all three powers of two. */
export interface CacheShape {
  readonly sizeBytes: number;
  readonly ways: number;
  readonly lineBytes: number;
}

/** The L1s are write-back and write-allocate in front of one L2 that need not include them; LRU everywhere (definitions §4). */
export interface CacheGeometry {
  readonly l1i: CacheShape;
  readonly l1d: CacheShape;
  readonly l2: CacheShape;
}

/** gshare, target buffer and return stack (definitions §4); every size a power of two. */
export interface PredictorShape {
  /** two-bit counters of the gshare table */
  readonly counters: number;
  /** outcomes of conditional branches that the index is mixed with */
  readonly historyBits: number;
  readonly targetSets: number;
  readonly targetWays: number;
  readonly returnDepth: number;
}

export interface AnalysisConfiguration {
  readonly caches: CacheGeometry;
  readonly predictor: PredictorShape;
}

/** 32 KiB 8-way L1I and L1D, 256 KiB 8-way L2, lines of 64 bytes: the geometry of a 2009 Nehalem core (*assumption*, as the predictor is). */
export const DEFAULT_CONFIGURATION: AnalysisConfiguration = {
  caches: {
    l1i: { sizeBytes: 32 << 10, ways: 8, lineBytes: 64 },
    l1d: { sizeBytes: 32 << 10, ways: 8, lineBytes: 64 },
    l2: { sizeBytes: 256 << 10, ways: 8, lineBytes: 64 },
  },
  predictor: { counters: 4096, historyBits: 12, targetSets: 512, targetWays: 4, returnDepth: 16 },
};

export const setsOf = ({ sizeBytes, ways, lineBytes }: CacheShape): number => sizeBytes / (ways * lineBytes);

/** Returns its argument. @throws AppError `input/invalid` naming the first figure that cannot be simulated */
export const checkConfiguration = (configuration: AnalysisConfiguration): AnalysisConfiguration => {
  const { caches, predictor } = configuration;
  for (const [name, cache] of Object.entries(caches)) checkCache(name, cache as CacheShape, caches.l1i.lineBytes);
  for (const [name, value] of Object.entries(predictor)) {
    if (name !== 'historyBits') checkPowerOfTwo(`predictor.${name}`, value as number, 1, 1 << 20);
  }
  checkRange('predictor.historyBits', predictor.historyBits, 0, 20);
  checkRange('predictor.targetWays', predictor.targetWays, 1, 32);
  return configuration;
};

const checkCache = (name: string, cache: CacheShape, lineBytes: number): void => {
  checkPowerOfTwo(`${name}.lineBytes`, cache.lineBytes, 16, 4096);
  checkPowerOfTwo(`${name}.ways`, cache.ways, 1, 32);
  checkPowerOfTwo(`${name}.sizeBytes`, cache.sizeBytes, cache.ways * cache.lineBytes, 1 << 26);
  if (cache.lineBytes !== lineBytes) {
    throw new AppError(
      'input/invalid',
      `all caches have one line size, but l1i has ${lineBytes} and ${name} ${cache.lineBytes} bytes`,
    );
  }
};

const checkPowerOfTwo = (name: string, value: number, from: number, to: number): void => {
  checkRange(name, value, from, to);
  if (!Number.isInteger(Math.log2(value)))
    throw new AppError('input/invalid', `${name} must be a power of two, not ${value}`);
};

const checkRange = (name: string, value: number, from: number, to: number): void => {
  if (!Number.isInteger(value) || value < from || value > to) {
    throw new AppError('input/invalid', `${name} must be a whole number from ${from} to ${to}, not ${value}`);
  }
};
