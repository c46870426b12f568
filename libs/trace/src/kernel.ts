/** A place or count that TypeScript and the kernel (assembly/) share, as an exported wasm global. */
type Shared = WebAssembly.Global;

type Globals<Names extends string> = { readonly [Name in Names]: Shared };

type EncoderGlobals =
  | 'encBlocks'
  | 'encBlockCount'
  | 'encSuccessors'
  | 'encLastSuccessors'
  | 'encRepCounts'
  | 'encHot'
  | 'encCold'
  | 'encLocals'
  | 'encDetails'
  | 'encDictionary'
  | 'encDictionaryEnd'
  | 'encCode'
  | 'encCodeEnd'
  | 'encMaxInstructions'
  | 'encMaxBytes'
  | 'encMaxSlots'
  | 'encMaxAddresses'
  | 'encSequence'
  | 'encSequenceEnd'
  | 'encAddresses'
  | 'encAddressesEnd'
  | 'encEvents'
  | 'encEventsEnd'
  | 'encCounts'
  | 'encCountsEnd'
  | 'encInstructions'
  | 'encKernelInstructions'
  | 'encExecutions'
  | 'encEventCount'
  | 'encAddressCount'
  | 'encExtraCount'
  | 'encLocalCount'
  | 'encSlotCount'
  | 'encEventAt'
  | 'encAddressAt'
  | 'encExtraAt';

type DecoderGlobals =
  | 'decBlocks'
  | 'decBlockCount'
  | 'decSlotCount'
  | 'decSuccessors'
  | 'decLastSuccessors'
  | 'decRepCounts'
  | 'decHot'
  | 'decCold'
  | 'decSequence'
  | 'decSequenceEnd'
  | 'decAddresses'
  | 'decAddressesEnd'
  | 'decEvents'
  | 'decEventsEnd'
  | 'decCounts'
  | 'decCountsEnd'
  | 'decEventOut'
  | 'decEventOutEnd'
  | 'decAddressOut'
  | 'decAddressOutEnd'
  | 'decExtraOut'
  | 'decExtraOutEnd'
  | 'decExecutions'
  | 'decEventsLeft'
  | 'decInstructions'
  | 'decKernelInstructions'
  | 'decLocalCount';

export interface EncoderKernel extends Globals<EncoderGlobals> {
  encBegin(): void;
  encFinish(): void;
  encEncode(eventsEnd: number, addressesEnd: number, extrasEnd: number): number;
}

export interface DecoderKernel extends Globals<DecoderGlobals> {
  decDecode(): number;
}

/** One instance serves one encoder or one decoder: its state lies in its globals. */
export const instantiateKernel = (
  module: WebAssembly.Module,
  memory: WebAssembly.Memory,
  slotsBefore: (rawId: number, instructions: number) => number,
): EncoderKernel & DecoderKernel =>
  new WebAssembly.Instance(module, { env: { memory, slotsBefore } }).exports as unknown as EncoderKernel &
    DecoderKernel;
